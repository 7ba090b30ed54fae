"""Checkpoints: whole or absent, checked when read, newest sound one wins.

A checkpoint is a folder `DIR/checkpoints/STEP`. Of each item (`params`, `opt`)
every process writes one file, the raw bytes of the shards it holds. `COMMIT`
comes last, when all of it has been read back: JSON with the meta data, dtype
and shape of every array, place and CRC-32 of every shard. Without it a folder
is no checkpoint. What some devices wrote, any other number of them can read.
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import threading
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from extrapolation import multihost

COMMIT = 'COMMIT'
OURS = re.compile(r'[0-9a-f]{8}-\d+(\.json)?')  # TOKEN-PROCESS
PATIENCE = 600  # seconds that process 0 waits for what the others write


def flat(tree) -> dict:
  """A tree as {dotted path: leaf}; NamedTuples and integer keys survive."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(p, simple=True, separator='.'): x for p, x in leaves
  }


def _describe(x) -> list:
  return [np.dtype(x.dtype).name, list(x.shape)]


def _text(described) -> str:
  return 'absent' if described is None else '{}{}'.format(*described)


class Checkpoints:
  """The checkpoints of a run, in `DIR/checkpoints`.

  Each holds named items, trees of arrays such as `params` and `opt`, so that a
  reader can take one of them, and a small JSON dictionary `meta`. All
  processes of a run call the same methods in the same order.

  Args:
    workdir: a folder, or what etils.epath knows (`gs://...`).
    keep: the newest that stay.
    keep_every: those of its multiples stay too; 0 is none.
  """

  def __init__(
    self,
    workdir: str,
    keep: int = 3,
    keep_every: int = 0,
    *,
    read_only: bool = False,
  ):
    self.path = epath.Path(workdir) / 'checkpoints'
    self.keep, self.keep_every = keep, keep_every
    self.local = '://' not in str(workdir)
    self.thread, self.error = None, None
    if read_only and not self.path.is_dir():
      raise FileNotFoundError(
        f'no checkpoints in {workdir!r}; train a run '
        'there first: python -m extrapolation.train'
      )
    if not read_only:
      # Nobody writes with a token of another life of the run.
      self.token = multihost.broadcast(secrets.token_hex(4))
      multihost.first(self._prepare)

  def _prepare(self):
    self.path.mkdir(parents=True, exist_ok=True)
    for folder in self._folders():
      if not (folder / COMMIT).exists():
        _remove(folder)

  def _folders(self):
    return [p for p in _inside(self.path) if p.name.isdigit() and p.is_dir()]

  def steps(self) -> list[int]:
    """Steps with a complete checkpoint, oldest first."""
    return sorted(int(p.name) for p in self._folders() if (p / COMMIT).exists())

  def save(self, step: int, items: dict, meta: dict) -> None:
    """Starts a save; it is complete once `wait` or the next `save` returns."""
    self.wait()
    trees = {name: flat(tree) for name, tree in items.items()}
    arrays = {
      name: {key: _describe(x) for key, x in tree.items()}
      for name, tree in trees.items()
    }
    shards = {name: _shards(tree) for name, tree in trees.items()}
    body = {**meta, 'step': step, 'arrays': arrays}
    self.thread = threading.Thread(
      target=self._save, args=(step, shards, body), daemon=True
    )
    self.thread.start()

  def _save(self, step, shards, body):
    folder = self.path / str(step)
    try:
      self._write(folder, shards, body)
    except Exception as e:
      self.error = e
      with contextlib.suppress(Exception):
        _remove(folder)  # a full disk needs the room
      return
    try:
      if jax.process_index() == 0:
        self._drop_old()
    except Exception as e:
      self.error = e

  def _write(self, folder, shards, body):
    me, n = jax.process_index(), jax.process_count()
    parts = {}
    for name, pieces in shards.items():
      (folder / name).mkdir(parents=True, exist_ok=True)
      file = folder / name / f'{self.token}-{me}'
      parts[name] = _write_shards(file, pieces, self.local)
    if me:
      part = folder / f'{self.token}-{me}.json'
      self._put(part, json.dumps(parts))
      return
    every, messages = [parts], []
    for other in range(1, n):
      message = folder / f'{self.token}-{other}.json'
      _wait_for(message, other)
      every.append(json.loads(message.read_text()))
      messages.append(message)
    body['shards'] = {
      name: list(itertools.chain(*(part[name] for part in every)))
      for name in shards
    }
    self._put(folder / COMMIT, json.dumps(_signed(body)))
    _read_commit(folder)
    for message in messages:
      message.unlink()

  def _put(self, path, text):
    """The whole file or nothing."""
    if not self.local:
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

  def _drop_old(self):
    """Called when the newest is verified, and never before."""
    for step in self.steps()[: -self.keep]:
      if not self.keep_every or step % self.keep_every:
        _remove(self.path / str(step))

  def wait(self) -> None:
    """Returns when the newest save is on disk, or raises what stopped it."""
    if self.thread:
      self.thread.join()
      self.thread = None
    if self.error:
      e, self.error = self.error, None
      raise OSError(
        f'cannot save a checkpoint in {self.path}: {type(e).__name__}: {e}; '
        f'last good checkpoint: {self.last()}'
      ) from e

  def check(self) -> None:
    """Raises what stopped a save, without waiting for one."""
    if self.error:
      self.wait()

  def last(self) -> str:
    """The newest step, in words."""
    try:
      steps = self.steps()
    except OSError:
      steps = []
    return f'step {steps[-1]}' if steps else 'none'

  def close(self) -> None:
    self.wait()

  def __enter__(self):
    return self

  def __exit__(self, kind, error, trace) -> None:
    if error is None:
      self.close()
    else:  # a save under way may still succeed; its error is not the news
      with contextlib.suppress(OSError):
        self.close()

  def restore(
    self, like: dict, step: int | None = None, say=print
  ) -> tuple[int, dict, dict] | None:
    """The newest sound checkpoint, as (step, items, meta); None without any.

    Args:
      like: `{item: tree of ShapeDtypeStruct}`, the items wanted; a sharding in
        it says where an array goes, whatever it was when it was saved.
      step: this one and no other.
      say: told about each damaged checkpoint that is passed over.

    Raises:
      ValueError: a checkpoint of other arrays than `like` (the first
        difference is named), or `step` given and not there.
      OSError: there are checkpoints, and all of them are damaged.
    """
    steps = json.loads(multihost.broadcast(json.dumps(self.steps())))
    if step is not None:
      if step not in steps:
        raise ValueError(
          f'no checkpoint of step {step} in {self.path}; there '
          f'are: {", ".join(map(str, steps)) or "none"}'
        )
      steps = [step]
    for s in reversed(steps):
      found, reason = None, ''
      try:
        body = _read_commit(self.path / str(s))
        self._compare(like, body['arrays'], s)
        found = {name: self._read(name, like[name], body, s) for name in like}
      except _OtherArrays as e:
        raise ValueError(*e.args) from None
      except Exception as e:  # whatever becomes of bad bytes
        reason = f'{type(e).__name__}: {str(e).splitlines()[0][:80]}'
      if not (reason := multihost.first_of(reason)):
        return s, found, body
      say(f'checkpoint of step {s} is damaged ({reason})' + (
        '; trying the one before' if s != steps[0] else ''))  # fmt: skip
    if steps:
      raise OSError(
        f'every checkpoint in {self.path} is damaged: steps '
        f'{", ".join(map(str, steps))}; delete the folder to start '
        'again'
      )
    if any((p / '_CHECKPOINT_METADATA').exists() for p in self._folders()):
      raise ValueError(
        f'the checkpoints in {self.path} are of an older version of this '
        'project, which can still read them; train in another --workdir'
      )
    return None

  def _compare(self, like: dict, arrays: dict, step: int) -> None:
    for name, tree in like.items():
      want = {key: _describe(x) for key, x in flat(tree).items()}
      have = arrays.get(name, {})
      for key in sorted({*want, *have}):
        if want.get(key) != have.get(key):
          raise _OtherArrays(
            f'checkpoint of step {step} in {self.path} is of another model: '
            f'{name}.{key} is {_text(have.get(key))} there and '
            f'{_text(want.get(key))} here'
          )

  def _read(self, name: str, like, body: dict, step: int):
    stored = {}
    for key, *shard in body['shards'][name]:
      stored.setdefault(key, []).append(shard)
    with contextlib.ExitStack() as files:
      reader = _Reader(self.path / str(step) / name, files)
      leaves = [
        _restore(x, lambda part, key=key, x=x: reader(stored[key], part, x))
        for key, x in flat(like).items()
      ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)

  def discard_after(self, step: int) -> None:
    """Removes checkpoints newer than `step`, which is about to be redone."""

    def discard():
      for folder in self._folders():
        if int(folder.name) > step:
          _remove(folder)

    multihost.first(discard)


class _OtherArrays(Exception):
  """A checkpoint that is sound, of something else."""


def _shards(tree: dict) -> list:
  """(key, start, array): a copy of every part that is this process's to save.

  A copy: the step that follows gives the memory to something else.
  """
  for x in tree.values():
    if isinstance(x, jax.Array):
      x.copy_to_host_async()
  found = []
  for key, x in tree.items():
    if not isinstance(x, jax.Array):
      if jax.process_index() == 0:
        found.append((key, [0] * np.ndim(x), np.array(x)))
      continue
    for shard in x.addressable_shards:
      if shard.replica_id == 0:
        index = zip(shard.index, x.shape, strict=True)
        start = [s.indices(n)[0] for s, n in index]
        found.append((key, start, np.array(shard.data)))
  return found


def _bytes(x: np.ndarray) -> np.ndarray:
  return np.ascontiguousarray(x).reshape(-1).view(np.uint8)


def _write_shards(path, pieces, local: bool) -> list:
  """Writes the bytes, reads them back, and returns what COMMIT says of them.

  An entry is [key, file, offset, bytes, crc, start, shape].
  """
  entries, offset = [], 0
  with path.open('wb') as f:
    for key, start, x in pieces:
      data = _bytes(x)
      f.write(data)
      crc, size = zlib.crc32(data), data.size
      entries.append([key, path.name, offset, size, crc, start, [*x.shape]])
      offset += size
    if local:
      f.flush()
      os.fsync(f.fileno())
  with path.open('rb') as f:
    for key, _, _, size, crc, *_ in entries:
      if zlib.crc32(f.read(size)) != crc:
        raise OSError(f'{key} in {path} is not what was written')
  return entries


def _signed(body: dict) -> dict:
  return body | dict(crc=zlib.crc32(json.dumps(body).encode()))


def _read_commit(folder) -> dict:
  body = json.loads((folder / COMMIT).read_text())
  crc = body.pop('crc')
  if _signed(body)['crc'] != crc:
    raise OSError(f'{COMMIT} fails its checksum')
  return body


def _wait_for(path, process: int) -> None:
  start = time.monotonic()
  while not path.exists():
    if time.monotonic() - start > PATIENCE:
      raise OSError(
        f'process {process} did not write its part within {PATIENCE} s'
      )
    time.sleep(0.02)


class _Reader:
  """Parts of arrays, put together from the shards that overlap them."""

  def __init__(self, folder, stack):
    self.folder, self.stack, self.open = folder, stack, {}

  def __call__(self, shards: list, part: tuple, like) -> np.ndarray:
    """The part (slices) of an array like `like`."""
    bounds = [s.indices(n)[:2] for s, n in zip(part, like.shape, strict=True)]
    out = np.empty([b - a for a, b in bounds], like.dtype)
    missing = out.size
    for name, offset, size, crc, start, shape in shards:
      stop = [a + n for a, n in zip(start, shape, strict=True)]
      both = [
        (max(a, c), min(b, d))
        for (a, b), c, d in zip(bounds, start, stop, strict=True)
      ]
      if any(a >= b for a, b in both):
        continue
      x = self.shard(name, offset, size, crc, shape, like.dtype)
      here = [
        slice(a - c, b - c) for (a, b), (c, _) in zip(both, bounds, strict=True)
      ]
      there = [
        slice(a - c, b - c) for (a, b), c in zip(both, start, strict=True)
      ]
      out[tuple(here)] = x[tuple(there)]
      missing -= x[tuple(there)].size
    if missing:
      raise OSError(f'{missing} values are in no shard')
    return out

  def shard(self, name, offset, size, crc, shape, dtype):
    if name not in self.open:
      file = (self.folder / name).open('rb')
      self.open[name] = self.stack.enter_context(file)
    f = self.open[name]
    f.seek(offset)
    data = f.read(size)
    if len(data) != size:
      raise OSError(f'{name} is cut off')
    if zlib.crc32(data) != crc:
      raise OSError(f'{name} fails its checksum')
    return np.frombuffer(data, dtype).reshape(shape)


def _restore(like, read):
  """The array, on the devices that `like` names."""
  sharding = getattr(like, 'sharding', None)
  if sharding is None:
    return jnp.asarray(read((slice(None),) * len(like.shape)))
  parts, pieces = {}, []
  where = sharding.addressable_devices_indices_map(like.shape)
  for device, index in where.items():
    key = str(index)
    if key not in parts:
      parts[key] = read(index)
    pieces.append(jax.device_put(parts[key], device))
  return jax.make_array_from_single_device_arrays(like.shape, sharding, pieces)


def _remove(folder) -> None:
  """Removes a checkpoint, or what is left of one, and nothing else.

  COMMIT goes first: what follows can be interrupted.
  """
  (folder / COMMIT).unlink(missing_ok=True)
  inner = [p for p in _inside(folder) if p.is_dir()]
  for place in (*inner, folder):
    for path in _inside(place):
      name = path.name.removeprefix('.')
      if OURS.fullmatch(name) or name == COMMIT:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError, ValueError):  # something else is in it
      place.rmdir()


def _inside(folder) -> list:
  """What is in a folder; an object store has no empty ones."""
  try:
    return list(folder.iterdir())
  except FileNotFoundError:
    return []
