"""Checkpoints: whole or absent, checked when read, newest sound one wins.

Orbax writes and reads the arrays, of every process its own part, in a folder
`DIR/checkpoints/STEP/ITEM`. Around it: `COMMIT` comes last, when all of it has
been read back and found to be what was saved, and before anything older goes.
It is JSON with the meta data, dtype and shape of every array (Orbax casts
silently), size and CRC-32 of every file (a flipped byte restores without a
word). Without it a folder is no checkpoint. Process 0 checks the files before
any process begins to read, so that all pass over the same ones.
"""

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import logging
import os
import secrets
import threading
import zlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from extrapolation.output import files
from extrapolation.parallel import multihost
from extrapolation.runs import commit

log = logging.getLogger(__name__)


def flat(tree: PyTree) -> dict[str, Any]:
  """A tree as {dotted path: leaf}; NamedTuples and integer keys survive."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(p, simple=True, separator='.'): x for p, x in leaves
  }


def _describe(x: jax.Array | jax.ShapeDtypeStruct) -> list:
  return [np.dtype(x.dtype).name, list(x.shape)]


def _text(described: list | None) -> str:
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
    self.local = files.is_local(workdir)
    if self.local:  # Orbax takes no relative path
      workdir = os.path.abspath(workdir)
    self.path = epath.Path(workdir) / 'checkpoints'
    self.keep, self.keep_every = keep, keep_every
    self.thread: threading.Thread | None = None
    self.error: Exception | None = None
    self.orbax = ocp.PyTreeCheckpointHandler(use_compression=False)
    if read_only and not self.path.is_dir():
      raise FileNotFoundError(
        f'no checkpoints in {workdir!r}; train a run '
        'there first: python -m extrapolation.train'
      )
    if not read_only:
      # Nobody writes with a token of another life of the run.
      self.token = multihost.broadcast(secrets.token_hex(4))
      multihost.first(self._prepare)

  def _prepare(self) -> None:
    self.path.mkdir(parents=True, exist_ok=True)
    for folder in self._folders():
      if not (folder / commit.FILE).exists():
        commit.remove(folder)

  def _folders(self) -> list[epath.Path]:
    return [
      p for p in commit.inside(self.path) if p.name.isdigit() and p.is_dir()
    ]

  def steps(self) -> list[int]:
    """Steps with a complete checkpoint, oldest first."""
    return sorted(
      int(p.name) for p in self._folders() if (p / commit.FILE).exists()
    )

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
    folder = self.path / str(step)
    try:
      # In a thread: a notebook has an event loop already.
      with concurrent.futures.ThreadPoolExecutor(1) as thread:
        begun = thread.submit(asyncio.run, self._begin(folder, trees))
        writing = begun.result()
    except Exception as e:
      self._failed(folder, e)
      self.wait()  # raises it
      raise
    self.thread = threading.Thread(
      target=self._save, args=(folder, writing, shards, body), daemon=True
    )
    self.thread.start()

  async def _begin(
    self, folder: epath.Path, trees: dict[str, dict[str, jax.Array]]
  ) -> list:
    """Copies the arrays; returns what to wait for while they are written."""
    writing = []
    for name, tree in trees.items():
      (folder / name).mkdir(parents=True, exist_ok=True)
      args = ocp.args.PyTreeSave(tree)
      futures = await self.orbax.async_save(folder / name, args=args)
      writing += futures or []
    return writing

  def _failed(self, folder: epath.Path, error: Exception) -> None:
    self.error = error
    with contextlib.suppress(Exception):
      commit.remove(folder)  # a full disk needs the room

  def _save(
    self,
    folder: epath.Path,
    writing: list,
    shards: dict[str, list],
    body: dict,
  ) -> None:
    try:
      for future in writing:
        future.result()
      self._commit(folder, shards, body)
    except Exception as e:
      self._failed(folder, e)
      return
    try:
      if jax.process_index() == 0:
        self._drop_old()
    except Exception as e:
      self.error = e

  def _commit(
    self, folder: epath.Path, shards: dict[str, list], body: dict
  ) -> None:
    me, n = jax.process_index(), jax.process_count()
    if me:
      commit.write(
        folder / f'{self.token}-{me}.json', json.dumps(shards), self.local
      )
      return
    every = [shards]
    for i in range(1, n):
      every.append(commit.take(folder / f'{self.token}-{i}.json', i))
    for name in shards:
      self.orbax.finalize(folder / name)
      parts = list(itertools.chain(*(part[name] for part in every)))
      self._verify(folder / name, body['arrays'][name], parts)
    files = {
      str(path.relative_to(folder)): commit.checksum(path)
      for name in shards
      for path in commit.files(folder / name)
    }
    text = json.dumps(commit.signed(body | dict(files=files)))
    commit.write(folder / commit.FILE, text, self.local)
    commit.read(folder)

  def _verify(self, folder: epath.Path, arrays: dict, shards: list) -> None:
    """Raises OSError unless what is read is what was saved."""
    read = self.numpy(folder, arrays)
    for key, crc, start, shape in shards:
      where = zip(start, shape, strict=True)
      if _crc(read[key][tuple(slice(a, a + n) for a, n in where)]) != crc:
        raise OSError(f'{key} in {folder} is not what was written')

  def numpy(
    self, folder: epath.Path, keys: Iterable[str]
  ) -> dict[str, np.ndarray]:
    """Arrays of one item, whole and in the memory of the host."""
    want = dict.fromkeys(keys, ocp.RestoreArgs(restore_type=np.ndarray))
    args = ocp.args.PyTreeRestore(dict(want), restore_args=want)
    read = self.orbax.restore(folder, args=args)
    return {key: np.asarray(x) for key, x in read.items()}

  def _drop_old(self) -> None:
    """Called when the newest is verified, and never before."""
    for step in self.steps()[: -self.keep]:
      if not self.keep_every or step % self.keep_every:
        commit.remove(self.path / str(step))

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

  def __exit__(self, kind: type | None, *error: object) -> None:
    # A save under way may still succeed; its error is not the news.
    with contextlib.suppress(*[OSError] if kind else []):
      self.close()

  def restore(
    self, abstract: dict, step: int | None = None
  ) -> tuple[int, dict, dict] | None:
    """The newest sound checkpoint, as (step, items, meta); None without any.

    A damaged one is passed over with a warning.

    Args:
      abstract: `{item: tree of ShapeDtypeStruct}`, the items wanted; a sharding
        in it says where an array goes, whatever it was when it was saved.
      step: this one and no other.

    Raises:
      ValueError: a checkpoint of other arrays than `abstract` (the first
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
      reason, body = self._sound(s, abstract)
      items = {}
      if not reason:
        try:
          items = {
            name: self._read(name, abstract[name], s) for name in abstract
          }
        except Exception as e:  # whatever becomes of bad bytes
          reason = f'{type(e).__name__}: {str(e).splitlines()[0][:80]}'
        reason = multihost.first_of(reason)
      if not reason:
        return s, items, body
      log.warning(
        'checkpoint of step %d is damaged (%s)%s', s, reason,
        '; trying the one before' if s != steps[0] else '',
      )  # fmt: skip
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

  def _sound(self, step: int, abstract: dict) -> tuple[str, dict]:
    """What is wrong with a checkpoint, '' if nothing, and its COMMIT.

    Process 0 reads every file: what all then restore is whole for all.
    """
    folder, reason, body = self.path / str(step), '', {}
    try:
      body = commit.read(folder)
      if jax.process_index() == 0:
        for name, (size, crc) in body['files'].items():
          if name.split('/')[0] in abstract:
            commit.check(folder / name, size, crc)
    except Exception as e:
      reason = f'{type(e).__name__}: {str(e).splitlines()[0][:80]}'
    if not (reason := multihost.first_of(reason)):
      self._compare(abstract, body['arrays'], step)
    return reason, body

  def _compare(self, abstract: dict, arrays: dict, step: int) -> None:
    for name, tree in abstract.items():
      want = {key: _describe(x) for key, x in flat(tree).items()}
      have = arrays.get(name, {})
      for key in sorted({*want, *have}):
        if want.get(key) != have.get(key):
          raise ValueError(
            f'checkpoint of step {step} in {self.path} is of another model: '
            f'{name}.{key} is {_text(have.get(key))} there and '
            f'{_text(want.get(key))} here'
          )

  def _read(self, name: str, abstract: PyTree, step: int) -> PyTree:
    """An item, its arrays on the devices that `abstract` names."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    want = {}
    for key, x in flat(abstract).items():
      want[key] = ocp.ArrayRestoreArgs(
        sharding=getattr(x, 'sharding', None) or here,
        global_shape=x.shape,
        dtype=x.dtype,
      )
    args = ocp.args.PyTreeRestore(dict(want), restore_args=want)
    read = self.orbax.restore(self.path / str(step) / name, args=args)
    leaves = [read[key] for key in want]
    return jax.tree.unflatten(jax.tree.structure(abstract), leaves)

  def discard_after(self, step: int) -> None:
    """Removes checkpoints newer than `step`, which is about to be redone."""

    def discard():
      for folder in self._folders():
        if int(folder.name) > step:
          commit.remove(folder)

    multihost.first(discard)


def _shards(tree: dict) -> list:
  """[key, CRC, start, shape] of every part that is this process's to save."""
  parts = []
  for key, x in tree.items():
    for shard in x.addressable_shards:
      if shard.replica_id == 0:
        index = zip(shard.index, x.shape, strict=True)
        start = [s.indices(n)[0] for s, n in index]
        parts.append([key, _crc(shard.data), start, [*shard.data.shape]])
  return parts


def _crc(x: jax.Array | np.ndarray) -> int:
  return zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
