"""Atomic writes of files, locally or in an object store."""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator

from etils import epath


def is_local(workdir: str | os.PathLike) -> bool:
  """False for an object store, which knows no locks and no appending."""
  return '://' not in str(workdir)


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A local file to write, which becomes `path` when all went well.

  Whoever reads `path` sees what was there before or the whole of what is new.
  """
  path = epath.Path(path)
  if not is_local(path):  # an object appears when it is complete
    with tempfile.TemporaryDirectory() as folder:
      temporary = pathlib.Path(folder) / path.name
      yield temporary
      path.write_bytes(temporary.read_bytes())
    return
  temporary = pathlib.Path(path.parent) / f'.{path.name}.{os.getpid()}'
  try:
    yield temporary
    os.replace(temporary, path)
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
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
      pass
  except OSError as e:
    raise OSError(
      f'cannot write in {str(path)!r}: {e.strerror or e}; it must be a folder '
      'that can be written in'
    ) from None


@contextlib.contextmanager
def outputs(folder: pathlib.Path | epath.Path) -> Iterator[pathlib.Path]:
  """A local folder to write in: `folder`, or one that is copied there."""
  if is_local(folder):
    folder.mkdir(parents=True, exist_ok=True)
    yield pathlib.Path(folder)
    return
  with tempfile.TemporaryDirectory() as name:
    yield pathlib.Path(name)
    for path in sorted(pathlib.Path(name).iterdir()):
      (folder / path.name).write_bytes(path.read_bytes())
