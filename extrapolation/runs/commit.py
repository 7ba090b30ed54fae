"""What makes a folder a checkpoint: the file COMMIT, and what it vouches for.

JSON with a checksum of its own, and of every file that it names. It is written
last, atomically, and goes first.
"""

import json
import os
import re
import time
import zlib

from etils import epath

FILE = 'COMMIT'
OURS = re.compile(r'[0-9a-f]{8}-\d+\.json')  # TOKEN-PROCESS, until COMMIT
# What Orbax puts into the folder of an item.
ORBAX = re.compile(
  r'(ocdbt\.process_\d+|array_metadatas|d|_sharding|_METADATA|manifest\.ocdbt)'
  r'(\.__lock|\.orbax.*)?'
)
PATIENCE = 600  # seconds that process 0 waits for what the others write


def write(path: epath.Path, text: str, local: bool) -> None:
  """Writes the whole file or nothing, and returns when it is on the disk."""
  if not local:
    path.write_text(text)  # an object appears when it is complete
    return
  temporary = path.with_name(f'.{path.name}')
  with open(temporary, 'w') as f:
    f.write(text)
    f.flush()
    os.fsync(f.fileno())
  os.replace(temporary, path)
  handle = os.open(path.parent, os.O_RDONLY)
  os.fsync(handle)
  os.close(handle)


def files(folder: epath.Path) -> list[epath.Path]:
  """All files below a folder."""
  return [path / name for path, _, names in folder.walk() for name in names]


def checksum(path: epath.Path) -> list[int]:
  """[size, CRC-32] of a file."""
  size = crc = 0
  with path.open('rb') as f:
    while data := f.read(1 << 24):
      size, crc = size + len(data), zlib.crc32(data, crc)
  return [size, crc]


def check(path: epath.Path, size: int, crc: int) -> None:
  """Raises OSError unless a file is as `checksum` found it."""
  if checksum(path) != [size, crc]:
    raise OSError(f'{path.name} fails its checksum')


def signed(body: dict) -> dict:
  """The body with the checksum of itself."""
  return body | dict(crc=zlib.crc32(json.dumps(body).encode()))


def read(folder: epath.Path) -> dict:
  """The body; raises OSError or ValueError of one that is damaged."""
  body = json.loads((folder / FILE).read_text())
  crc = body.pop('crc')
  if signed(body)['crc'] != crc:
    raise OSError(f'{FILE} fails its checksum')
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
  (folder / FILE).unlink(missing_ok=True)
  for path in inside(folder):
    name = path.name.removeprefix('.')
    if path.is_dir():
      known = all(ORBAX.fullmatch(p.name) for p in inside(path))
    else:
      known = name == FILE or OURS.fullmatch(name)
    if not known:
      return  # something else is in it
  if folder.exists():
    folder.rmtree()


def inside(folder: epath.Path) -> list[epath.Path]:
  """What is in a folder; an object store has no empty ones."""
  try:
    return list(folder.iterdir())
  except FileNotFoundError:
    return []
