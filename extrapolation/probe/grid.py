"""Which cells are measured: lengths x distances, so many needles in each."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from extrapolation import config
from extrapolation.config import sizes
from extrapolation.data.probes import Probe
from extrapolation.runs.probe_table import EXAMPLES

RATIOS = (0.5, 1, 2, 4, 8, 18)  # of the training length: 512 to 9,216
DISTANCES = 20  # in steps of equal ratio, and the farthest of each length


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """What is measured; lengths and distances in tokens.

  Attributes:
    lengths: None is RATIOS times the training length, where there is room.
    distances: from a query to what it asks for; None is DISTANCES of those
      that the longest length has.
    examples: per cell, the same needles in all of them.
    seed: of the examples.
    batch_tokens: per forward pass of one device.
    window: keys that a query sees: full, a number, or certified:ERROR.
  """

  lengths: tuple[int, ...] | None = None
  distances: tuple[int, ...] | None = None
  examples: int = EXAMPLES
  seed: int = 0
  batch_tokens: int = 8192
  window: str = 'full'

  def __post_init__(self):
    for name in ('examples', 'batch_tokens'):
      value = getattr(self, name)
      if not 1 <= value <= sizes.TOKENS:
        raise ValueError(f'--{name}={value}: needs 1 to {sizes.TOKENS}')
    if not 0 <= self.seed < 1 << 32:
      raise ValueError(f'--seed={self.seed}: needs 0 to 2^32 - 1')
    for name in ('lengths', 'distances'):
      values = getattr(self, name)
      if values is None:
        continue
      if not values:
        raise ValueError(
          f'--{name} is empty: give one or more, or leave it out'
        )
      for value in values:
        if not 1 <= value <= sizes.TOKENS:
          raise ValueError(
            f'--{name}: {value} is not a {name[:-1]}; needs 1 to {sizes.TOKENS}'
          )
    config.keys_or_error(self.window)


@dataclasses.dataclass(frozen=True)
class Grid:
  """Lengths and distances, in order; a length has the cells that it can."""

  lengths: tuple[int, ...]
  distances: tuple[int, ...]

  def cells(self, probe: Probe, length: int) -> list[int]:
    """The distances that a probe has at a length."""
    there = probe.distances(length)
    return [d for d in self.distances if d in there]


def make(probe: Probe, settings: Settings, T: int) -> Grid:
  """The cells of a probe, for runs of a training length T.

  Raises:
    ValueError: a length without room, or a distance that no length has.
  """
  if settings.lengths is None:
    chosen = {max(1, round(ratio * T)) for ratio in RATIOS}
    lengths = sorted(n for n in chosen if probe.distances(n))
    if not lengths:
      probe.check(max(chosen))
  else:
    lengths = sorted(set(settings.lengths))
    for n in lengths:
      probe.check(n)
  if settings.distances is None:
    distances = _spaced(probe, lengths)
  else:
    distances = sorted(set(settings.distances))
    for d in distances:  # a longer length has those of a shorter one
      probe.check(lengths[-1], d)
  return Grid(tuple(lengths), tuple(distances))


def _spaced(probe: Probe, lengths: Iterable[int]) -> list[int]:
  """The nearest and farthest of each length, and between them by ratio."""
  each = [probe.distances(n) for n in lengths]
  there = each[-1]
  ends = {there[0], *(d[-1] for d in each)}
  chosen = ends
  for count in range(2, DISTANCES + 1):
    between = np.geomspace(there[0], there[-1], count)
    steps = np.rint((between - there[0]) / there.step).astype(int)
    more = ends | {there[int(i)] for i in steps}
    if len(more) > DISTANCES:
      break
    chosen = more
  return sorted(chosen)
