"""Who works in a folder: claims that lapse, in any shared folder, no server.

A claim is a file `.claims/N`, made by O_EXCL, which the file system grants to
exactly one. N only grows and no claim is ever removed, so a claim that died is
succeeded by N + 1, again by exactly one: there is nothing to race for twice.

The holder touches its claim; whoever sees no touch for `seconds` may succeed
it. No clock is compared with another's: the watcher times its own watching,
and the holder gives up by itself at two thirds of `seconds` after a touch that
it knows was made. A holder that slept through that makes claim N + 1 itself,
or learns that it lost. On one machine the kernel knows more: a claim is locked
by its holder's life (flock), so a killed process is succeeded at once.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import logging
import os
import pathlib
import platform
import threading
import time
from typing import IO

from extrapolation.output import files, signed

log = logging.getLogger(__name__)

SECONDS = 60.0  # without a sign of life
_watched: dict[str, tuple[int, float]] = {}  # claim: last touch, first seen


class Lost(OSError):
  """The claim lapsed while its holder slept, and another one succeeded it."""


class Held(OSError):
  """Another one works in the folder; `claim` says who."""

  def __init__(self, folder: str, claim: 'Claim'):
    super().__init__(f'another process is working in {folder!r}: {claim.who}')
    self.claim = claim


def _clock() -> float:
  """Seconds that go on while the machine is suspended."""
  return time.clock_gettime(getattr(time, 'CLOCK_BOOTTIME', 1))


def _kernel() -> str:
  """Names the running kernel, within which flock tells life from death."""
  try:
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id').read_text().strip()
  except OSError:
    return ''
  return f'{platform.node()} {boot}'


def _who() -> str:
  return f'{platform.node()}, process {os.getpid()}'


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim as another process sees it."""

  number: int
  who: str  # host and process
  touched: int  # ns, by whichever clock; compared for equality alone
  free: bool  # released, known dead, or watched long enough
  sure: bool  # of this kernel, so that no watching is needed


def look(folder: str | os.PathLike) -> Claim | None:
  """The newest claim of a folder; None without any."""
  claims = pathlib.Path(folder) / '.claims'
  numbers = _numbers(claims)
  return _look(claims, max(numbers)) if numbers else None


def _numbers(claims: pathlib.Path) -> list[int]:
  if not claims.is_dir():
    return []
  names = [p.name for p in claims.iterdir()]
  return [int(n) for n in names if n.isascii() and n.isdecimal()]


def _look(claims: pathlib.Path, number: int) -> Claim | None:
  path = claims / str(number)
  before = _clock()
  try:
    # Opening, not stat: network file systems ask the server then. No link is
    # followed, and no pipe waited for, that someone laid in the folder.
    how = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(path, opener=lambda name, _: os.open(name, how)) as f:
      touched, about = os.fstat(f.fileno()).st_mtime_ns, _about(f.read(4096))
      here = about['kernel'] not in ('', None) and about['kernel'] == _kernel()
      dead = here and not _locked(f)
  except FileNotFoundError:
    return None
  last, since = _watched.get(str(path), (-1, 0.0))
  if last != touched:
    since = _clock()
    _watched[str(path)] = touched, since
  silent = before - since > about['seconds']
  free = touched == 0 or dead or silent
  return Claim(number, about['who'], touched, free, sure=here)


def _about(text: str) -> dict:
  about = dict(who='a process that wrote nothing', kernel='', seconds=SECONDS)
  try:
    read = signed.parse(text, 'the claim')
    if all(isinstance(read[key], type(about[key])) for key in about):
      return read
  except (ValueError, TypeError, KeyError, RecursionError):
    pass  # its holder is writing it, or died doing so
  return about


def _locked(file: IO) -> bool:
  try:
    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
  except OSError:
    return True
  return False


def take(folder: str | os.PathLike, seconds: float = SECONDS) -> 'Lease':
  """Claims a folder, made if need be; exactly one of all who try succeeds.

  Args:
    folder: on a disk that all workers share.
    seconds: without a sign of life after which others may succeed the claim.

  Raises:
    Held: another one works there, or may: try again, until the claim was
      watched for its `seconds` without a sign of life.
    OSError: the folder cannot be written.
  """
  claims = pathlib.Path(folder) / '.claims'
  files.make_folder(claims)
  number = max(_numbers(claims), default=0)
  while True:
    claim = _look(claims, number) if number else None
    if claim and not claim.free:
      raise Held(str(folder), claim)
    try:
      return Lease(claims, number + 1, seconds)
    except FileExistsError:  # a listing may be old; creation never is
      number += 1


def wait(folder: str | os.PathLike, seconds: float = SECONDS) -> 'Lease':
  """As `take`, but waits until a silent holder is known to be dead or alive.

  Raises:
    Held: the holder lives on this machine, or gave a sign of life.
  """
  first = None
  while True:
    try:
      return take(folder, seconds)
    except Held as e:
      now = e.claim.number, e.claim.touched
      if e.claim.sure or (first and now != first):
        raise
      if first is None:
        log.warning('%s; waiting for a sign of life', e)
      first = now
    time.sleep(min(1.0, seconds / 10))


class Lease:
  """A claim that is held, and kept by a thread, until it is closed."""

  def __init__(self, claims: pathlib.Path, number: int, seconds: float):
    """Raises FileExistsError when the number is taken."""
    self.claims, self.seconds = claims, seconds
    self._lock = threading.Lock()
    self._file: IO | None = None
    self.lost = ''  # why it is
    self._make(number)
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._beat, daemon=True)
    self._thread.start()

  def _make(self, number: int) -> None:
    start = _clock()
    path = self.claims / str(number)
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    file, kernel = os.fdopen(fd, 'wb', buffering=0), _kernel()
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a file system without: time alone will tell
      kernel = ''
    try:  # written once locked: whoever reads the kernel may test the lock
      about = dict(who=_who(), kernel=kernel, seconds=float(self.seconds))
      text = json.dumps(signed.sign(about)).encode()
      if file.write(text) < len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:  # disk full: leave nothing that looks alive
      file.close()  # unbuffered: it has nothing left to write
      os.utime(path, ns=(0, 0))
      raise
    if self._file:
      self._file.close()
    self.path, self._file, self._sure = path, file, start

  def _beat(self) -> None:
    while not self._stop.wait(self.seconds / 6):
      self._renew()

  def _renew(self) -> None:
    with self._lock:
      if self.lost or not self._file:
        return
      start = _clock()
      try:
        os.utime(self.path)  # the server's time, on a network file system
        if self._next().exists():  # a watcher misjudged; it is the holder now
          self.lost = 'another process has succeeded it'
        elif _clock() - self._sure < self.seconds * 2 / 3:
          self._sure = start
        else:  # others may have seen silence: only a new claim is certain
          self._make(int(self.path.name) + 1)
      except FileExistsError:
        self.lost = 'this process gave no sign of life, and another took over'
      except FileNotFoundError:
        self.lost = 'its folder has been removed'
      except OSError:  # the disk is away; it lapses if that lasts
        pass

  def _next(self) -> pathlib.Path:
    return self.claims / str(int(self.path.name) + 1)

  def check(self) -> None:
    """Returns if the claim is surely held now and for seconds / 3 to come.

    Raises:
      Lost: it is not; whatever is about to be written must not be.
    """
    if not self.lost and _clock() - self._sure < self.seconds * 2 / 3:
      return
    self._renew()
    if not self.lost and _clock() - self._sure < self.seconds * 2 / 3:
      return
    why = self.lost or 'its disk does not answer'
    raise Lost(f'lost the claim on {str(self.claims.parent)!r}: {why}')

  def close(self) -> None:
    """Gives the folder back, for anyone to take at once."""
    self._stop.set()
    with self._lock:
      if self._file:
        with contextlib.suppress(OSError):  # then it lapses
          os.utime(self.path, ns=(0, 0))
        with contextlib.suppress(OSError):
          self._file.close()
      self._file = None

  def __enter__(self):
    return self

  def __exit__(self, *error: object) -> None:
    self.close()
