"""Checkpoints: whole or absent, on the disk when they are said to be.

Orbax writes and reads the arrays, of every process its own part, in a folder
`DIR/checkpoints/TOKEN-STEP/ITEM`, whose token is that of this life of the run:
whoever slept, and wakes in another's time, has nothing in common with it.
`COMMIT` comes last, when all of it has been read back and found to be what was
saved, and is on the disk. It is JSON with the meta data, dtype and shape of
every array (Orbax casts silently), size and CRC-32 of every file (a flipped
byte restores without a word). Then the folder gets its name, `STEP`, if the
lease on the run is still held; only then anything older goes. An object store
cannot rename: there the folder has its name from the beginning, and is a
checkpoint from COMMIT on.
"""

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import logging
import os
import re
import secrets
import threading
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from extrapolation.output import files
from extrapolation.parallel import multihost
from extrapolation.runs import arrays, commit, leases
from extrapolation.runs.checkpoint_reader import CheckpointReader

log = logging.getLogger(__name__)

UNNAMED = re.compile(r'[0-9a-f]{8}-\d+')  # TOKEN-STEP, begun and not complete


class Checkpoints(CheckpointReader):
  """The checkpoints of a run, for the one who writes them.

  Each holds named items, trees of arrays such as `params` and `opt`, so that a
  reader can take one of them, and a small JSON dictionary `meta`.

  Args:
    workdir: a folder, or what etils.epath knows (`gs://...`).
    keep: the newest that stay.
    keep_every: those of its multiples stay too; 0 is none.
    lease: on the folder, in the process that writes; it is asked before
      anything gets its name, is moved or is removed.
  """

  def __init__(
    self,
    workdir: str,
    keep: int = 3,
    keep_every: int = 0,
    lease: leases.Lease | None = None,
  ):
    super().__init__(workdir)
    self.keep, self.keep_every, self.lease = keep, keep_every, lease
    self.thread: threading.Thread | None = None
    self.error: Exception | None = None
    self.opened: int | None = None  # the folder, in the process that made it
    self.token = multihost.broadcast(secrets.token_hex(4))
    multihost.first(self._prepare)

  def _prepare(self) -> None:
    """Makes the folder, and removes what another life of the run left."""
    if self.local:
      files.make_folder(self.path)
      self.opened = os.open(self.path, os.O_RDONLY)  # keeps its inode its own
    for folder in commit.inside(self.path):
      bare = folder in self.folders() and not (folder / commit.FILE).exists()
      if bare or UNNAMED.fullmatch(folder.name):
        self._ask()
        commit.remove(folder)

  def _ask(self) -> None:
    """Raises leases.Lost unless the folder is surely this process's."""
    if self.lease:
      self.lease.check()

  def save(self, step: int, items: dict, meta: dict) -> None:
    """Starts a save; it is complete once `wait` or the next `save` returns."""
    self.wait()
    trees = {name: arrays.flat(tree) for name, tree in items.items()}
    described = {
      name: {key: arrays.describe(x) for key, x in tree.items()}
      for name, tree in trees.items()
    }
    shards = {name: arrays.shards(tree) for name, tree in trees.items()}
    body = {**meta, 'step': step, 'arrays': described}
    name = f'{self.token}-{step}' if self.local else str(step)
    folder = self.path / name
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
    if self.local:  # not its parents: a run that was removed is not made anew
      with contextlib.suppress(FileExistsError):  # another process made it
        os.mkdir(folder)
    for name, tree in trees.items():
      (folder / name).mkdir(parents=not self.local, exist_ok=True)
      args = ocp.args.PyTreeSave(tree)
      given = self._given(folder / name)
      futures = await self.orbax.async_save(given, args=args)
      writing += futures or []
    return writing

  def _cause(self, error: Exception) -> Exception:
    try:
      self._ask()
    except leases.Lost as lost:
      return lost  # another works here, and removed what was half written
    if self._removed():
      return FileNotFoundError('the folder has been removed')
    return error

  def _removed(self) -> bool:
    """Whether the folder is gone, though Orbax may have made it anew."""
    if self.opened is None:
      return False
    there = self.path.exists() and os.stat(self.path).st_ino
    return there != os.fstat(self.opened).st_ino

  def _failed(self, folder: epath.Path, error: Exception) -> None:
    self.error = self._cause(error)
    with contextlib.suppress(Exception):
      commit.remove(folder)  # a full disk needs the room
      if self._removed():  # and a run that was removed is not there by half
        os.rmdir(self.path)
        os.rmdir(self.path.parent)

  def _save(
    self,
    folder: epath.Path,
    writing: list,
    shards: dict[str, list],
    body: dict,
  ) -> None:
    try:
      errors = [error for future in writing if (error := _wait(future))]
      if errors:
        raise errors[0]
      self._commit(folder, shards, body)
    except Exception as e:
      self._failed(folder, e)
      return
    try:
      if jax.process_index() == 0:
        self._drop_old()
    except Exception as e:
      self.error = self._cause(e)

  def _commit(
    self, folder: epath.Path, shards: dict[str, list], body: dict
  ) -> None:
    me, n = jax.process_index(), jax.process_count()
    if me:
      if self.local:
        commit.sync(folder)
      commit.write(folder / f'{self.token}-{me}.json', json.dumps(shards))
      return
    every = [shards]
    for i in range(1, n):
      every.append(commit.take(folder / f'{self.token}-{i}.json', i))
    for name in shards:
      self.orbax.finalize(self._given(folder / name))
      parts = list(itertools.chain(*(part[name] for part in every)))
      self._verify(folder / name, body['arrays'][name], parts)
    sums = {
      str(path.relative_to(folder)): commit.checksum(path)
      for name in shards
      for path in commit.below(folder / name)
    }
    if self.local:
      commit.sync(folder)
    text = json.dumps(commit.signed(body | dict(files=sums)))
    commit.write(folder / commit.FILE, text)
    commit.read(folder)
    if self.local:
      self._ask()
      os.rename(folder, self.path / str(body['step']))
      files.sync(self.path)

  def _verify(self, folder: epath.Path, described: dict, shards: list) -> None:
    """Raises OSError unless what is read is what was saved."""
    read = self.numpy(folder, described)
    for key, crc, start, shape in shards:
      where = zip(start, shape, strict=True)
      part = read[key][tuple(slice(a, a + n) for a, n in where)]
      if arrays.crc(part) != crc:
        raise OSError(f'{key} in {folder} is not what was written')

  def _drop_old(self) -> None:
    """Called when the newest is verified, and never before."""
    for step in self.steps()[: -self.keep]:
      if not self.keep_every or step % self.keep_every:
        self._ask()
        commit.remove(self.path / str(step))

  def wait(self) -> None:
    """Returns when the newest save is on disk, or raises what stopped it."""
    if self.thread:
      self.thread.join()
      self.thread = None
    if self.error:
      e, self.error = self.error, None
      if isinstance(e, leases.Lost):
        raise e
      raise OSError(
        f'cannot save a checkpoint in {self.path}: {type(e).__name__}: {e}; '
        f'last good checkpoint: {self.last()}'
      ) from e

  def check(self) -> None:
    """Raises what stopped a save, without waiting for one."""
    if self.error:
      self.wait()

  def close(self) -> None:
    try:
      self.wait()
    finally:
      if self.opened is not None:
        os.close(self.opened)
        self.opened = None

  def __enter__(self):
    return self

  def __exit__(self, kind: type | None, *error: object) -> None:
    # A save under way may still succeed; its error is not the news.
    with contextlib.suppress(*[OSError] if kind else []):
      self.close()

  def set_aside_after(self, step: int) -> None:
    """Moves checkpoints newer than `step`, which is about to be redone.

    They are damaged, or `step` were not the newest that is sound; who knows
    how may still mend them.
    """

    def move() -> None:
      for folder in self.folders():
        if int(folder.name) > step:
          self._ask()
          aside = self.path / f'damaged-{folder.name}-{self.token}'
          folder.rename(aside)
          log.warning('%s is set aside as %s', folder, aside.name)

    multihost.first(move)


def _wait(future: Any) -> Exception | None:
  """What became of a part; all are over before what is left is removed."""
  try:
    future.result()
  except Exception as e:
    return e
  return None
