"""Atomic and durable writes of files, locally or in an object store."""

import contextlib
import errno
import json
import os
import pathlib
import secrets
import tempfile
from collections.abc import Iterator

from etils import epath


def is_local(workdir: str | os.PathLike) -> bool:
  """False for an object store, which knows no locks and no appending."""
  return '://' not in str(workdir)


def sync(path: str | os.PathLike) -> None:
  """Returns when a file, or the names in a folder, survive a power cut."""
  handle = os.open(path, os.O_RDONLY)
  try:
    os.fsync(handle)
  except OSError as e:
    if e.errno not in (errno.EINVAL, errno.ENOTSUP):  # no such promise here
      raise
  finally:
    os.close(handle)


def make_folder(path: str | os.PathLike) -> None:
  """Makes a local folder with its parents, so that it survives a power cut."""
  path = pathlib.Path(path).absolute()
  new = [p for p in (path, *path.parents) if not p.exists()]
  path.mkdir(parents=True, exist_ok=True)
  for made in reversed(new):
    sync(made.parent)


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A local file to write, which becomes `path` when all went well.

  Whoever reads `path` sees what was there before or the whole of what is new,
  after a power cut as well. The temporary name is nobody else's: two writers
  do not meet, and no link that waits under a name is followed.
  """
  path = epath.Path(path)
  if not is_local(path):  # an object appears when it is complete
    with tempfile.TemporaryDirectory() as folder:
      temporary = pathlib.Path(folder) / path.name
      yield temporary
      path.write_bytes(temporary.read_bytes())
    return
  folder = pathlib.Path(path.parent)
  temporary = folder / f'.{path.name}.{secrets.token_hex(4)}'
  # Of the mode that the user's files have, which tempfile's do not.
  os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
  try:
    yield temporary
    sync(temporary)
    os.replace(temporary, path)
    sync(folder)
  finally:
    temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: dict) -> None:
  """An atomic write of JSON."""
  write_text(path, json.dumps(value, indent=2) + '\n')


def write_text(path: str | os.PathLike, text: str) -> None:
  """An atomic write of text, as it is."""
  with atomic(path) as temporary:
    temporary.write_text(text, encoding='utf-8', newline='')


def cannot_write(workdir: str, e: OSError) -> OSError:
  """The error that says what to do about `e`."""
  why = e.strerror or e
  return OSError(f'cannot write in {workdir!r}: {why}; give another --workdir')


def writable(path: str | os.PathLike) -> None:
  """Makes a local folder and tries to write in it, before anything is computed.

  Raises:
    OSError: it cannot be made or written in.
  """
  if not is_local(path):
    return
  try:
    make_folder(path)
    with tempfile.TemporaryFile(dir=path):
      pass
  except OSError as e:
    raise OSError(
      f'cannot write in {str(path)!r}: {e.strerror or e}; it must be a folder '
      'that can be written in'
    ) from None


@contextlib.contextmanager
def outputs(
  folder: pathlib.Path | epath.Path, last: str
) -> Iterator[pathlib.Path]:
  """A local folder to write in, whose files then appear in `folder`, whole.

  Args:
    last: the file that says that all others are there; it appears after them.
  """
  local = is_local(folder)
  if local:
    make_folder(folder)
  with tempfile.TemporaryDirectory(
    prefix='.', dir=folder if local else None
  ) as name:
    yield pathlib.Path(name)
    paths = list(pathlib.Path(name).iterdir())
    for path in sorted(paths, key=lambda p: (p.name == last, p.name)):
      with atomic(folder / path.name) as temporary:
        temporary.write_bytes(path.read_bytes())
