"""A cache of folders: complete or not there, also after kill -9."""

import contextlib
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Iterator

try:
  import fcntl
except ImportError:  # not on Windows; two writers then do the work twice
  fcntl = None


def root(cache: str = '') -> pathlib.Path:
  """`cache`, or $XDG_CACHE_HOME/extrapolation, or ~/.cache/extrapolation."""
  if cache:
    return pathlib.Path(cache).expanduser()
  home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  return pathlib.Path(home).expanduser() / 'extrapolation'


@contextlib.contextmanager
def making(folder: pathlib.Path) -> Iterator[pathlib.Path | None]:
  """Yields a folder to fill, which becomes `folder` at the end of the block.

  Yields None if it is there already, or another process made it meanwhile.
  What was filled in is removed if the block raises; what a killed process
  left, by the next one.
  """
  parent = folder.parent
  try:
    if folder.exists():
      yield None
      return
    parent.mkdir(parents=True, exist_ok=True)
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
        new.chmod(0o755)  # mkdtemp's 0o700 would shut out whom we share with
        try:
          os.replace(new, folder)
        except OSError:
          if not folder.exists():  # else another host was first
            raise
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


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[bool]:
  """Waits until no other process is inside; False where that is unknowable."""
  if fcntl is None:
    yield False
    return
  with open(path, 'w') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # some network file systems have no locks
      yield False
      return
    yield True
