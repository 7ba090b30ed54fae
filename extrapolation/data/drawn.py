"""A data set of a task: examples on places, drawn as they are read."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from extrapolation.data import tasks, tokenizers, without_text
from extrapolation.data.cells import Cells
from extrapolation.data.expected import Expected
from extrapolation.data.generated import endless
from extrapolation.data.without_text import WithoutText

if TYPE_CHECKING:
  import grain

  from extrapolation.geometry import Size

DIGESTED = 16  # examples that say which generator made them
SIZES = (8, 16), (2, 16), (4,), (16,)  # one of which every task has
SUMMED, SHOWN = 64, 16  # examples, answers
SYMBOLS = '0123456789abcdefghijklmnopqrstuvwxyz'
FIRST = 0x4E00  # of the characters that ids are called by in tokenizer.json


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn(WithoutText):
  """A task in place of a text; `at` says of which size its examples are."""

  ASKED = (
    'draws examples on places and has no text to read; it is scored by size: '
    'evaluate --sizes=..'
  )
  _task: tasks.Task | None = None
  size: 'Size' = ()

  @property
  def task(self) -> tasks.Task:
    """What is asked."""
    assert self._task is not None  # `make` gave it
    return self._task

  def at(self, size: 'Size') -> 'Drawn':
    """The same, with examples of a size.

    Raises:
      ValueError: a size that the task cannot give.
    """
    self.task.check(size, size)
    return dataclasses.replace(self, size=size)

  def read(
    self,
    numbers: Iterable[int],
    size: 'Size',
    within: 'Size',
    *,
    stream: str,
    seed: int = 0,
  ) -> tuple[Cells, Float32[np.ndarray, 'b t']]:
    """Examples of these numbers, and the optimum of each of their targets."""
    drawn = [
      self.task.draw(n, size, within=within, stream=stream, seed=seed)
      for n in numbers
    ]
    inputs, targets, weights, optimum = (
      np.stack(x) for x in list(zip(*drawn, strict=True))[:4]
    )
    sources = [one.source for one in drawn if one.source is not None]
    source = np.stack(sources) if sources else None
    return Cells(inputs, targets, weights, source), optimum

  def batches(
    self,
    *,
    B: int,
    T: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
  ) -> 'grain.MapDataset':
    """Batch k holds examples k B .. k B + B - 1 of the seed, as `Cells`."""
    rows = B // process_count

    def read(k: int) -> Cells:
      first = k * B + process_index * rows
      numbers = range(first, first + rows)
      return self.read(
        numbers, self.size, self.size, stream='train', seed=seed
      )[0]

    return endless(read)

  def beginning(self, split: str, T: int, targets: int) -> Cells:
    """The first examples of a split, as many as `targets` places have."""
    return self.first(split, max(targets // T, 1))[0]

  def first(
    self, split: str, n: int
  ) -> tuple[Cells, Float32[np.ndarray, 'b t']]:
    """The first n examples of a split, with their optimum."""
    return self.read(range(n), self.size, self.size, stream=split)

  def summary(self, T: int = 0) -> str:
    """The task, its vocabulary, what its best answer costs; an example."""
    task, size = self.task, self.size or _size(self.task)
    lines = [
      f'task {task.label}: {task.kind}, {task.symbols} possible answers of '
      f'{task.V} ids, {task.chance:.3f} nats of a uniform guess'
    ]
    cells, best = self.at(size).first('valid', SUMMED)
    scored = cells.weights > 0
    cost = 'is not known'
    if not np.isnan(best[scored]).any():
      cost = f'costs {best[scored].mean():.3f} nats'
    lines.append(
      f'      examples of {"x".join(map(str, size))}: '
      f'{scored.sum(1).mean():.1f} targets each, the best answer {cost}'
    )
    if not self.size and task.V <= len(SYMBOLS):  # of a run it is known
      lines += _drawn(task, cells, size)
    return '\n'.join(lines)


def _drawn(task: tasks.Task, cells: Cells, size: 'Size') -> list[str]:
  """The first example as characters, `?` a target and `#` what is hidden."""
  ids = cells.inputs[0]
  marks = np.array([SYMBOLS[i % len(SYMBOLS)] for i in ids])
  if task.mask >= 0:
    marks[ids == task.mask] = '#'
    marks[cells.weights[0] > 0] = '?'
  rows = marks.reshape(size) if len(size) > 1 else marks[None]
  lines = [f'      {"".join(row)}' for row in rows]
  answers = [SYMBOLS[i % len(SYMBOLS)] for i in cells.targets[0]]
  asked = np.flatnonzero(cells.weights[0])
  return [
    *lines,
    f'      answers: {" ".join(answers[i] for i in asked[:SHOWN])}',
  ]


def is_task(source: str) -> bool:
  """Whether a source names a task, with or without `task:`."""
  name = source.removeprefix(tasks.PREFIX).partition(':')[0]
  return source.startswith(tasks.PREFIX) or name in tasks.names()


def make(
  source: str, tokenizer: str, expect: Mapping[str, Any] | None = None
) -> Drawn:
  """The data set of a source `NAME[:KEY=VALUE..]`, NAME a task.

  expect: manifest of the examples that it must draw.

  Raises:
    ValueError: no such task, a tokenizer, which it does not have, or examples
      that are drawn otherwise than they were.
  """
  task = tasks.parse(source)
  symbols = ''.join(chr(FIRST + i) for i in range(task.V))
  own = tokenizers.symbols.make(symbols, 0)
  given = None if tokenizer == 'bytes' else tokenizers.given(tokenizer)
  if tokenizer != 'bytes' and given is None:
    raise ValueError(
      f"{source} has ids of its own, not tokens of '{tokenizer}'; leave "
      'data.tokenizer = bytes'
    )
  if given is not None and given != own:
    raise ValueError(
      f'{source} has {own.V} ids, and the vocabulary of the run {given.V}, of '
      'another task; give it the same hyperparameters'
    )
  manifest = without_text.manifest(source, own, _digests(task))
  if expect is not None:
    Expected.of(expect).check(manifest)
  return Drawn(pathlib.Path(), manifest, own, 'contiguous', _task=task)


def _digests(task: tasks.Task) -> dict[str, str]:
  """sha256 of the first examples by stream: another generator, another."""
  size, out = _size(task), {}
  for stream in ('train', 'valid', 'test'):
    content = hashlib.sha256()
    for n in range(DIGESTED):
      one = task.draw(n, size, within=size, stream=stream, seed=0)
      content.update(one.inputs.astype('<i4').tobytes())
      content.update(one.targets.astype('<i4').tobytes())
      content.update(one.weights.astype('<f4').tobytes())
    out[stream] = content.hexdigest()
  return out


def _size(task: tasks.Task) -> 'Size':
  for size in (task.smallest,) if task.smallest else SIZES:
    try:
      task.check(size, size)
    except ValueError:
      continue
    return size
  raise ValueError(f'task {task.label} has none of the sizes {SIZES}')
