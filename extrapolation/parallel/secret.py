"""What the processes of a group know and nobody else does.

It is never sent: `channel` proves with it who is at the other end.
"""

import contextlib
import ipaddress
import os
import pathlib
import secrets
import stat

from extrapolation.cli import paths

VARIABLE = 'EXTRAPOLATION_SECRET'
SHORTEST = 16  # characters
FILE = '~/.cache/extrapolation/secret'  # of a user, for groups on one machine
MAKE = f'export {VARIABLE}=$(openssl rand -hex 32)'


def new() -> str:
  """A secret that nobody guesses."""
  return secrets.token_hex(32)


def loopback(host: str) -> bool:
  """Whether only this machine can reach `host`."""
  if host == 'localhost':
    return True
  try:
    return ipaddress.ip_address(host).is_loopback
  except ValueError:
    return False


def find(host: str) -> bytes:
  """The secret of a group whose process 0 is at `host`.

  It is that of the environment, which the launchers set. On one machine it
  may be the user's own, in a file that is made at the first use.

  Raises:
    ValueError: none, and other machines can reach `host`; or one that is
      short enough to be guessed.
    OSError: the user's file cannot be made, or others can read it.
  """
  text = os.environ.get(VARIABLE, '')
  if text and len(text) < SHORTEST:
    raise ValueError(
      f'{VARIABLE} has {len(text)} characters and could be guessed: it needs '
      f'at least {SHORTEST}; {MAKE}'
    )
  if not text and not loopback(host):
    raise ValueError(
      f'a group that others can reach at {host} needs {VARIABLE}, the same in '
      f'all its processes and known to nobody else: {MAKE}'
    )
  if text:
    return os.fsencode(text)
  try:
    return _of_user(pathlib.Path(paths.expand(FILE)))
  except ValueError as e:  # no home
    raise ValueError(f'{e}; or set {VARIABLE}: {MAKE}') from None


def _of_user(path: pathlib.Path) -> bytes:
  try:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
      _write(path)
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), 'rb') as file:
      status, text = os.fstat(file.fileno()), file.read(1 << 10)
  except OSError as e:
    raise OSError(
      f'no secret for groups on this machine: {path}: {e.strerror}; set one: '
      f'{MAKE}'
    ) from None
  others = status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077
  if others or len(text) < SHORTEST:
    raise OSError(
      f'{path} can be read by others, or is not whole: remove it, and another '
      'is made'
    )
  return text


def _write(path: pathlib.Path) -> None:
  """Makes the file at once and whole; of several processes the first wins."""
  part = path.with_name(f'{path.name}.{secrets.token_hex(8)}')
  flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
  try:
    with open(os.open(part, flags, 0o600), 'w') as file:
      file.write(new())
    with contextlib.suppress(FileExistsError):
      os.link(part, path)
  finally:
    part.unlink(missing_ok=True)
