"""What makes a folder a checkpoint: the file COMMIT, and what it vouches for.

JSON with a checksum of its own, and of every file that it names. It is written
when all of these are on the disk, and goes before any of them.
"""

import contextlib
import json
import os
import re
import shutil
import time
import zlib

from etils import epath

from extrapolation.output import files, plain_file

FILE = 'COMMIT'
# TOKEN-PROCESS.json, what a process tells process 0, until COMMIT; hidden
# and with a suffix, one that was being written.
OURS = re.compile(r'\.?([0-9a-f]{8}-\d+\.json|COMMIT)(\.[0-9a-f]{8})?')
# What Orbax puts into the folder of an item.
ORBAX = re.compile(
  r'(ocdbt\.process_\d+|array_metadatas|d|_sharding|_METADATA|manifest\.ocdbt)'
  r'(\.__lock|\.orbax.*)?'
)
PATIENCE = 600  # seconds that process 0 waits for what the others write


class Damaged(ValueError):
  """What a checkpoint holds is not what was written; no passing trouble."""


def write(path: epath.Path, text: str) -> None:
  """Writes the whole file or nothing, and returns when it is on the disk."""
  files.write_text(path, text)


def inside(folder: epath.Path) -> list[epath.Path]:
  """What is in a folder; an object store has no empty ones."""
  try:
    return list(folder.iterdir())
  except FileNotFoundError:
    return []


def below(folder: epath.Path) -> list[epath.Path]:
  """All files below a folder."""
  return [path / name for path, _, names in folder.walk() for name in names]


def sync(folder: epath.Path) -> None:
  """Returns when all files and names below a local folder are on the disk.

  What another process removes meanwhile, as Orbax does with locks, is no loss.
  """
  for path, _, names in folder.walk(top_down=False):
    for each in (*(path / name for name in names), path):
      try:
        files.sync(each)
      except FileNotFoundError:
        continue


def checksum(path: epath.Path) -> list[int]:
  """[size, CRC-32] of a file."""
  size = crc = 0
  with path.open('rb') as f:
    while data := f.read(1 << 24):
      size, crc = size + len(data), zlib.crc32(data, crc)
  return [size, crc]


def check(path: epath.Path, size: int, crc: int) -> None:
  """Raises Damaged unless a file is as `checksum` found it.

  An OSError is raised as it is: a disk that does not answer says nothing of
  what is on it.
  """
  try:
    if files.is_local(path):
      plain_file.check(path)
    now = checksum(path)
  except FileNotFoundError:
    raise Damaged(f'{path.name} is missing') from None
  except ValueError as e:
    raise Damaged(str(e)) from None
  if now != [size, crc]:
    raise Damaged(f'{path.name} fails its checksum')


def signed(body: dict) -> dict:
  """The body with the checksum of itself."""
  return body | dict(crc=zlib.crc32(json.dumps(body).encode()))


def read(folder: epath.Path) -> dict:
  """The body of COMMIT.

  Raises:
    Damaged: it is not what was written, or of another step than the folder.
    OSError: it cannot be read.
  """
  try:
    text = plain_file.read(folder / FILE)
  except FileNotFoundError:
    raise Damaged(f'{FILE} is missing') from None
  except ValueError as e:
    raise Damaged(str(e)) from None
  try:
    body = json.loads(text)
    crc = body.pop('crc')
  except (ValueError, RecursionError, KeyError, AttributeError, TypeError):
    raise Damaged(f'{FILE} cannot be parsed') from None
  if signed(body)['crc'] != crc:
    raise Damaged(f'{FILE} fails its checksum')
  if folder.name.isdecimal() and body['step'] != int(folder.name):
    raise Damaged(f'it was saved at step {body["step"]}, and moved')
  return body


def take(path: epath.Path, process: int) -> dict:
  """What another process wrote for this one, when it has, and for once."""
  start = time.monotonic()
  while not path.exists():
    if time.monotonic() - start > PATIENCE:
      raise OSError(
        f'process {process} did not write its part within {PATIENCE} s'
      )
    time.sleep(0.02)
  body = json.loads(path.read_text())
  path.unlink()
  return body


def remove(folder: epath.Path) -> None:
  """Removes a checkpoint, or what is left of one, and nothing else.

  COMMIT goes first: what follows can be interrupted.
  """
  if (folder / FILE).exists():
    (folder / FILE).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # another removes it as well
      if files.is_local(folder):
        files.sync(folder)
  for path in inside(folder):
    if path.is_dir():
      known = all(ORBAX.fullmatch(p.name) for p in inside(path))
    else:
      known = OURS.fullmatch(path.name)
    if not known:
      return  # something else is in it
  if files.is_local(folder):  # whose writer may wake and still write in it
    shutil.rmtree(os.fspath(folder), ignore_errors=True)
  elif folder.exists():
    folder.rmtree()
