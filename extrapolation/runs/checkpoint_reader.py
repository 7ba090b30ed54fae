"""Reading checkpoints: none is believed unchecked, the newest sound wins."""

import json
import logging
import os
from collections.abc import Callable, Iterable

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from extrapolation.output import files
from extrapolation.parallel import multihost
from extrapolation.runs import alias, commit
from extrapolation.runs.arrays import describe, flat

log = logging.getLogger(__name__)


class CheckpointReader:
  """The checkpoints of a run, in `DIR/checkpoints`, for one who only reads.

  A trainer may write and drop checkpoints meanwhile. All processes of a run
  call the same methods in the same order; process 0 checks the files before
  any process begins to read, so that all pass over the same ones.
  """

  def __init__(self, workdir: str):
    self.local = files.is_local(workdir)
    if self.local:  # Orbax takes no relative path
      workdir = os.path.abspath(workdir)
    self.path = epath.Path(workdir) / 'checkpoints'
    self.alias = alias.Alias(self.path) if self.local else None
    self.orbax = ocp.PyTreeCheckpointHandler(use_compression=False)

  def _given(self, folder: epath.Path) -> epath.Path:
    """A folder below `path` as Orbax gets it."""
    return self.alias.of(folder) if self.alias else folder

  def folders(self) -> list[epath.Path]:
    """Those with the name of a step, complete or not."""
    return [
      p
      for p in commit.inside(self.path)
      if p.name.isascii() and p.name.isdecimal() and p.is_dir()
    ]

  def steps(self) -> list[int]:
    """Steps with a complete checkpoint, oldest first."""
    return sorted(
      int(p.name) for p in self.folders() if (p / commit.FILE).exists()
    )

  def last(self) -> str:
    """The newest step, in words."""
    try:
      steps = self.steps()
    except OSError:
      steps = []
    return f'step {steps[-1]}' if steps else 'none'

  def restore(
    self,
    abstract: dict,
    step: int | None = None,
    same: Callable[[dict], None] = lambda meta: None,
  ) -> tuple[int, dict, dict] | None:
    """The newest sound checkpoint, as (step, items, meta); None without any.

    A damaged one is passed over with a warning. One that a trainer drops while
    it is read is no damaged one: a newer one is there.

    Args:
      abstract: `{item: tree of ShapeDtypeStruct}`, the items wanted; a sharding
        in it says where an array goes, whatever it was when it was saved.
      step: this one and no other.
      same: raises ValueError for the meta of another run.

    Raises:
      ValueError: a checkpoint of another run or of other arrays than
        `abstract` (the first difference is named), or `step` given and not
        there.
      OSError: there are checkpoints, and all of them are damaged; or one cannot
        be read now, which says nothing of what is in it.
    """
    damaged: list[int] = []
    while left := self._candidates(step, damaged):
      s = left[-1]
      reason, body = self._sound(s, abstract)
      if not reason:
        same(body)
        self._compare(abstract, body['arrays'], s)
        try:
          items = multihost.every(lambda s=s: self._read_all(s, abstract))
        except OSError:
          if self._gone(s):
            continue
          raise
        return s, items, body
      if self._gone(s):
        continue
      damaged.append(s)
      log.warning(
        'checkpoint of step %d is damaged (%s)%s', s, reason,
        '; trying the one before' if len(left) > 1 else '',
      )  # fmt: skip
    if damaged:
      raise OSError(
        f'every checkpoint in {self.path} is damaged: steps '
        f'{", ".join(map(str, sorted(damaged)))}; nothing was removed: restore '
        'one from a copy, or train again in another --workdir'
      )
    if any((p / '_CHECKPOINT_METADATA').exists() for p in self.folders()):
      raise ValueError(
        f'the checkpoints in {self.path} are of an older version of this '
        'project, which can still read them; train in another --workdir'
      )
    return None

  def _candidates(self, step: int | None, damaged: list[int]) -> list[int]:
    """Steps to try, as process 0 sees them now."""
    seen = multihost.first(lambda: json.dumps(self.steps()))
    steps = json.loads(multihost.broadcast(seen or ''))
    if step is not None and step not in steps:
      raise ValueError(
        f'no checkpoint of step {step} in {self.path}; there are: '
        f'{", ".join(map(str, steps)) or "none"}'
      )
    steps = steps if step is None else [step]
    return [s for s in steps if s not in damaged]

  def _gone(self, step: int) -> bool:
    gone = multihost.first(lambda: step not in self.steps())
    return bool(multihost.broadcast('gone' if gone else ''))

  def _sound(self, step: int, abstract: dict) -> tuple[str, dict]:
    """What is wrong with a checkpoint, '' if nothing, and its COMMIT.

    Process 0 reads every file: what all then restore is whole for all.
    """
    folder, body = self.path / str(step), {}

    def look() -> str:
      try:
        body.update(commit.read(folder))
        if jax.process_index() == 0:
          for name, (size, crc) in body['files'].items():
            if name.split('/')[0] in abstract:
              commit.check(folder / name, size, crc)
      except commit.Damaged as e:
        return str(e)
      except OSError as e:
        raise self._unreadable(step, e) from None
      return ''

    return multihost.first_of(multihost.every(look)), body

  def _unreadable(self, step: int, error: Exception) -> OSError:
    why = getattr(error, 'strerror', None) or str(error).splitlines()[0][:200]
    return OSError(
      f'the checkpoint of step {step} in {self.path} cannot be read now: {why}'
      '; nothing was removed: try again'
    )

  def _compare(self, abstract: dict, arrays: dict, step: int) -> None:
    for name, tree in abstract.items():
      want = {key: describe(x) for key, x in flat(tree).items()}
      have = arrays.get(name, {})
      for key in sorted({*want, *have}):
        if want.get(key) != have.get(key):
          raise ValueError(
            f'checkpoint of step {step} in {self.path} is of another model: '
            f'{name}.{key} is {_text(have.get(key))} there and '
            f'{_text(want.get(key))} here'
          )

  def _read_all(self, step: int, abstract: dict) -> dict[str, PyTree]:
    try:
      return {name: self._read(name, abstract[name], step) for name in abstract}
    except Exception as e:  # its checksums are right: no damage
      raise self._unreadable(step, e) from e

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
    read = self.orbax.restore(
      self._given(self.path / str(step) / name), args=args
    )
    leaves = [read[key] for key in want]
    return jax.tree.unflatten(jax.tree.structure(abstract), leaves)

  def numpy(
    self, folder: epath.Path, keys: Iterable[str]
  ) -> dict[str, np.ndarray]:
    """Arrays of one item, whole and in the memory of the host."""
    want = dict.fromkeys(keys, ocp.RestoreArgs(restore_type=np.ndarray))
    args = ocp.args.PyTreeRestore(dict(want), restore_args=want)
    read = self.orbax.restore(self._given(folder), args=args)
    return {key: np.asarray(x) for key, x in read.items()}


def _text(described: list | None) -> str:
  return 'absent' if described is None else '{}{}'.format(*described)
