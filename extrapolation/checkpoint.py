"""Checkpoints: whole or absent, checked when read, newest sound one wins.

Orbax does the writing (asynchronous, committed by a marker file). On top of
it: every array's CRC-32 is kept beside it, because a flipped byte otherwise
restores without a word, and dtypes are compared, because Orbax casts silently.
"""

import contextlib
import json
import logging
import pathlib
import shutil
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

# What Orbax logs at length is also raised, and said here in one line.
logging.getLogger('absl').setLevel(logging.CRITICAL)


def _flat(tree) -> dict:
  """A tree as {dotted path: leaf}; NamedTuples and integer keys survive."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(p, simple=True, separator='.'): x for p, x in leaves
  }


def _describe(x) -> str:
  return f'{np.dtype(x.dtype).name}{list(x.shape)}'


class Checkpoints:
  """The checkpoints of a run, in `DIR/checkpoints`.

  Each holds named items, trees of arrays such as `params` and `opt`, so that a
  reader can take one of them, and a small JSON dictionary `meta`.
  """

  def __init__(self, workdir: str, keep: int = 3, *, read_only: bool = False):
    self.path = pathlib.Path(workdir).absolute() / 'checkpoints'
    if read_only and not self.path.is_dir():
      raise FileNotFoundError(
        f'no checkpoints in {workdir!r}; train a run '
        'there first: python -m extrapolation.train'
      )
    options = ocp.CheckpointManagerOptions(
      max_to_keep=None if read_only else keep,
      create=not read_only,
      read_only=read_only,
      cleanup_tmp_directories=not read_only,
      atomicity_options=ocp.options.AtomicityOptions(
        mode=ocp.options.AtomicityMode.COMMIT_FILE
      ),
    )
    self.manager = ocp.CheckpointManager(self.path, options=options)

  def steps(self) -> list[int]:
    """Steps with a complete checkpoint, oldest first."""
    return sorted(self.manager.all_steps())

  def save(self, step: int, items: dict, meta: dict) -> None:
    """Starts a save; it is complete once `wait` or the next `save` returns."""
    flat = {name: _flat(tree) for name, tree in items.items()}
    leaves = {
      name: {
        key: [_describe(x), zlib.crc32(np.ascontiguousarray(x))]
        for key, x in jax.device_get(tree).items()
      }
      for name, tree in flat.items()
    }
    meta = ocp.args.JsonSave({**meta, 'step': step, 'leaves': leaves})
    trees = {name: ocp.args.StandardSave(tree) for name, tree in flat.items()}
    try:
      self.manager.save(step, args=ocp.args.Composite(meta=meta, **trees))
    except Exception as e:
      raise self._save_error(e) from e

  def wait(self) -> None:
    """Returns when the newest save is on disk, or raises what stopped it."""
    try:
      self.manager.wait_until_finished()
      self.manager.check_for_errors()
    except Exception as e:
      raise self._save_error(e) from e

  def close(self) -> None:
    self.wait()
    self.manager.close()

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
      like: `{item: tree of ShapeDtypeStruct}`, the items wanted.
      step: this one and no other.
      say: told about each damaged checkpoint that is passed over.

    Raises:
      ValueError: a checkpoint of other arrays than `like` (the first
        difference is named), or `step` given and not there or damaged.
      OSError: there are checkpoints, and all of them are damaged.
    """
    steps = self.steps()
    if step is not None:
      if step not in steps:
        raise ValueError(
          f'no checkpoint of step {step} in {self.path}; there '
          f'are: {", ".join(map(str, steps)) or "none"}'
        )
      steps = [step]
    for s in reversed(steps):
      meta = self._meta(s)
      if isinstance(meta, dict):
        self._compare(like, meta['leaves'], s)
        found = self._read(like, meta, s)
        if isinstance(found, dict):
          return s, found, meta
        meta = found
      say(f'checkpoint of step {s} is damaged ({meta}); trying the one before')
    if steps:
      raise OSError(
        f'every checkpoint in {self.path} is damaged: steps '
        f'{", ".join(map(str, steps))}; delete the folder to start '
        'again'
      )
    return None

  def discard_after(self, step: int) -> None:
    """Removes checkpoints newer than `step`, which is about to be redone."""
    for s in self.steps():
      if s > step:
        self.manager.delete(s)
    for folder in self.path.glob('*'):  # what Orbax no longer counts as a step
      if folder.name.isdigit() and int(folder.name) > step:
        shutil.rmtree(folder)

  def _meta(self, step: int) -> dict | str:
    path = self.path / str(step) / 'meta' / 'metadata'
    try:
      return json.loads(path.read_text())
    except (OSError, ValueError) as e:
      return f'meta: {type(e).__name__}'

  def _read(self, like: dict, meta: dict, step: int) -> dict | str:
    """The items, or what is wrong with them."""
    want = {
      name: ocp.args.StandardRestore(_flat(tree)) for name, tree in like.items()
    }
    try:
      read = self.manager.restore(step, args=ocp.args.Composite(**want))
    except Exception as e:  # whatever the storage layers make of bad bytes
      return f'{type(e).__name__}: {str(e).splitlines()[0][:80]}'
    for name in like:
      for key, x in jax.device_get(read[name]).items():
        if zlib.crc32(np.ascontiguousarray(x)) != meta['leaves'][name][key][1]:
          return f'{name}.{key} fails its checksum'
    return {
      name: jax.tree.unflatten(jax.tree.structure(tree), read[name].values())
      for name, tree in like.items()
    }

  def _compare(self, like: dict, leaves: dict, step: int) -> None:
    for name, tree in like.items():
      want = {key: _describe(x) for key, x in _flat(tree).items()}
      have = {key: d for key, (d, _) in leaves.get(name, {}).items()}
      for key in sorted({*want, *have}):
        if want.get(key) != have.get(key):
          raise ValueError(
            f'checkpoint of step {step} in {self.path} is of another model: '
            f'{name}.{key} is {have.get(key, "absent")} there and '
            f'{want.get(key, "absent")} here'
          )

  def _save_error(self, e: Exception) -> OSError:
    good = self.steps()
    last = f'step {good[-1]}' if good else 'none'
    reason = str(e).splitlines()[0]
    if len(reason) > 200:  # its end says what the disk said
      reason = f'{reason[:80]} ... {reason[-80:]}'
    return OSError(
      f'cannot save a checkpoint in {self.path}: '
      f'{type(e).__name__}: {reason}; last good checkpoint: {last}'
    )
