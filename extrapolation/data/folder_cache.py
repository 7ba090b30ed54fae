"""A cache of folders: complete or not there, also after kill -9."""

import atexit
import contextlib
import errno
import functools
import logging
import os
import pathlib
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator

from extrapolation.cli import paths
from extrapolation.output import files

try:
  import fcntl
except ImportError:  # not on Windows; two writers then do the work twice
  fcntl = None

log = logging.getLogger('extrapolation.data')

PRIVATE = 0o700
_NO_LINK = getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0)


def root(cache: str = '') -> pathlib.Path:
  """`cache`, or $XDG_CACHE_HOME/extrapolation, or ~/.cache/extrapolation.

  Where there is no home, or it cannot be written in, a temporary folder takes
  the place of the default one, which is said once.

  Raises:
    ValueError: a `cache` in a home that is not known.
  """
  if cache:
    return pathlib.Path(paths.expand(cache))
  return _default(os.environ.get('XDG_CACHE_HOME'), os.environ.get('HOME'))


@functools.cache
def _default(cache_home: str | None, home: str | None) -> pathlib.Path:
  del home  # what ~ is
  try:
    folder = pathlib.Path(paths.expand(cache_home or '~/.cache'))
    above = next(p for p in (folder, *folder.parents) if p.exists())
    if above == folder or (above.is_dir() and os.access(above, os.W_OK)):
      return folder / 'extrapolation'
    why = f'{above} cannot be written in'
  except (ValueError, OSError) as error:
    why = str(error)
  made = tempfile.mkdtemp(prefix='extrapolation-')
  atexit.register(shutil.rmtree, made, ignore_errors=True)
  log.warning(
    'text is prepared in a temporary folder, anew by every command: %s '
    '(data.cache=DIR keeps it)', why,
  )  # fmt: skip
  return pathlib.Path(made)


def make(folder: pathlib.Path, mode: int = PRIVATE) -> None:
  """Makes a folder, and those above it that are not there, of this mode."""
  if not folder.is_dir():
    make(folder.parent, mode)
    folder.mkdir(mode, exist_ok=True)


@contextlib.contextmanager
def making(
  folder: pathlib.Path, mode: int = PRIVATE
) -> Iterator[pathlib.Path | None]:
  """Yields a folder to fill, which becomes `folder` at the end of the block.

  Yields None if it is there already, or another process made it meanwhile.
  What was filled in is removed if the block raises; what a killed process
  left, by the next one. mode: of the folder and of those inside it; files have
  its bits to read and write.
  """
  parent = folder.parent
  try:
    if folder.exists():
      yield None
      return
    make(parent, mode)
    with _lock(parent / f'.{folder.name}.lock') as locked:
      prefix = f'.{folder.name}-{socket.gethostname()}-'
      if locked:
        for abandoned in parent.glob(f'{prefix}*'):
          shutil.rmtree(abandoned, ignore_errors=True)
      if folder.exists():
        yield None
        return
      new = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
      try:
        yield new
        _settle(new, mode)
        try:
          os.replace(new, folder)
        except OSError:
          if not folder.exists():  # else another host was first
            raise
        files.sync(parent)
      finally:
        shutil.rmtree(new, ignore_errors=True)
  except OSError as error:
    elsewhere = not str(error.filename or parent).startswith(str(parent))
    if elsewhere or error.errno is None:  # not of this disk
      raise
    raise type(error)(
      error.errno,
      f'{error.strerror}; free some space there, or choose another data.cache',
      str(parent),
    ) from None


def _settle(new: pathlib.Path, mode: int) -> None:
  """Gives all that is in a folder its permissions, and puts it on the disk.

  A name that is on the disk before its content would, after a power cut, be a
  folder of empty files.
  """
  for path in new.rglob('*'):
    path.chmod(mode if path.is_dir() else mode & 0o666)
    files.sync(path)
  new.chmod(mode)
  files.sync(new)


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[bool]:
  """Waits until no other process is inside; False where that is unknowable."""
  if fcntl is None:
    yield False
    return
  # Neither through a link, which anybody may have laid in a shared folder, nor
  # in a pipe that nobody writes; and nothing there is cut short.
  try:
    file = os.open(path, os.O_RDONLY | os.O_CREAT | _NO_LINK, 0o644)
  except OSError as error:
    if error.errno != errno.ELOOP:
      raise
    raise _not_a_lock(path) from None
  try:
    if not stat.S_ISREG(os.fstat(file).st_mode):
      raise _not_a_lock(path)
    try:
      fcntl.flock(file, fcntl.LOCK_EX)
      locked = True
    except OSError:  # some network file systems have no locks
      locked = False
    yield locked
  finally:
    os.close(file)


def _not_a_lock(path: pathlib.Path) -> ValueError:
  return ValueError(f'{path} is a link or no file, so no lock; delete it')
