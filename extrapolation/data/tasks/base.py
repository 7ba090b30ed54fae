"""The record of a task: it draws examples on places, and knows the optimum."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

if TYPE_CHECKING:  # JAX is imported with it
  from extrapolation.geometry import Geometry, Size

KINDS = 'masked', 'classes', 'sequence'


class Example(NamedTuple):
  """One example at a size of T places.

  Attributes:
    inputs: ids in the order of the places; `Task.mask` where one is masked.
    targets: the id to predict: one per place, or one class.
    weights: 1 where a target is scored, else 0.
    optimum: nats of the best prediction there is, -ln p(target | all that is
      seen), of each scored target; NaN elsewhere and where it is unknown.
    source: of a sequence what the encoder reads; the inputs are then those of
      the decoder, which are the targets shifted by one.
  """

  inputs: Int32[np.ndarray, ' T']
  targets: Int32[np.ndarray, ' t']
  weights: Float32[np.ndarray, ' t']
  optimum: Float32[np.ndarray, ' t']
  source: Int32[np.ndarray, ' S'] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
  """What is to be predicted on the places of a geometry.

  An example at a larger size is the same one with more around it, or in front
  of it: the same targets are scored, and what was seen is seen.

  Attributes:
    kind: masked | classes | sequence.
    symbols: ids 0 .. symbols - 1 that targets may be.
    V: vocabulary of the inputs, with the ids of a mask and of a beginning.
    mask: id in place of what is masked, -1 where nothing is.
    geometries: kinds of geometry that it has places in.
    check: `(size, within)` raises ValueError where a size cannot be given.
    draw: `(number, size, *, within, stream, seed) -> Example`, where `within`
      is the smallest size of an evaluation, or that of the training; it checks
      the sizes first. Equal arguments give an equal example, in any process.
    chance: nats of a uniform guess, ln symbols.
    fits: raises ValueError where a geometry of these kinds is not the one that
      its places are in; None where its number of places tells.
    smallest: a size that it has; () where it has one of the usual ones.
    source: paper. name, label: of its file, and with its hyperparameters.
  """

  kind: str
  symbols: int
  V: int
  mask: int = -1
  geometries: tuple[str, ...]
  check: Callable[['Size', 'Size'], None]
  draw: Callable[..., Example]
  fits: Callable[['Geometry'], None] | None = None
  smallest: 'Size' = ()
  source: str = ''
  name: str = ''
  label: str = ''

  @property
  def chance(self) -> float:
    return math.log(self.symbols)

  def labelled(self, label: str) -> 'Task':
    """The same, called `NAME:KEY=VALUE..`."""
    return dataclasses.replace(self, label=label)


def check_sizes(
  task: str,
  axes: tuple[str, ...],
  size: 'Size',
  within: 'Size',
  *,
  least: 'Size',
  most: 'Size | None' = None,
  why: str = '',
) -> None:
  """What every task asks of a size and of the smallest one, `within`.

  Args:
    least, most: numbers of `within` and of `size` on each axis.
    why: where `most` comes from.

  Raises:
    ValueError: in one line.
  """
  for n in (size, within):
    if len(n) != len(axes) or min(n) < 1:
      raise ValueError(
        f'task {task}: a size has the axes {" x ".join(axes)}, not {written(n)}'
      )
  if any(n < m for n, m in zip(within, least, strict=True)):
    raise ValueError(
      f'task {task}: size {written(within)} is too small; the smallest is '
      f'{written(least)}'
    )
  if any(n < m for n, m in zip(size, within, strict=True)):
    raise ValueError(
      f'task {task}: size {written(size)} does not contain {written(within)}, '
      'whose targets are scored at every size; make no axis smaller'
    )
  if most and any(n > m for n, m in zip(size, most, strict=True)):
    raise ValueError(
      f'task {task}: size {written(size)} is too large; the largest is '
      f'{written(most)}, {why}'
    )


def check_share(task: str, masked: float, most: float = 0.5) -> None:
  """Raises ValueError unless 0 < masked <= most."""
  if not 0 < masked <= most:
    raise ValueError(
      f'masked = {masked}: task {task} needs 0 < masked <= {most:g}'
    )


def check_count(task: str, key: str, value: int, least: int, most: int) -> None:
  """Raises ValueError unless least <= value <= most."""
  if not least <= value <= most:
    raise ValueError(f'{key} = {value}: task {task} needs {least} to {most:,}')


def written(size: 'Size') -> str:
  """A size as messages show it."""
  from extrapolation.geometry import sizes

  return sizes.write(size)
