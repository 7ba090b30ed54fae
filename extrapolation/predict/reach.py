r"""How far a needle can be: the largest distance that holds half of attention.

A key at distance t holds half of the weight of n keys if its logit exceeds the
others' by Delta_n(t) = ln(sum_{s<n} e^b(s)) - b(t) nats. Training at length L
had to teach the gap that reaches its farthest key, Delta_L(L - 1) in the head
where that costs least; at length n the same gap reaches the largest t with
Delta_n(t) at most the gap, in the head where that is farthest.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from extrapolation.predict.conformal import interval
from extrapolation.predict.weights import Head, Weights

ENOUGH = 5  # encodings with a measured reach, to fit the gap
HALF = 0.5  # nats, while there are fewer


@dataclasses.dataclass(frozen=True)
class Gap:
  """What models have beyond the gap that training had to teach, in nats.

  Attributes:
    shift: the middle.
    less, more: the ends of the interval, from the middle; None for no end.
    source: where these numbers are from.
  """

  shift: float = 0.0
  less: float | None = HALF
  more: float | None = HALF
  source: str = (
    'assumed, half a nat less or more: a fit takes probe tables of '
    f'{ENOUGH} encodings'
  )

  def around(self, taught: float) -> tuple[float, float, float]:
    """Middle and ends in nats, of a model that was taught so many."""
    less, more = (np.inf if x is None else x for x in (self.less, self.more))
    middle = taught + self.shift
    return middle, middle - less, middle + more

  @property
  def ends(self) -> str:
    """The interval in words."""
    if self.less is not None and self.less == self.more:
      return f'{self.less:.2g} nats less and more'
    less, more = self.less, self.more
    low = 'no lower end' if less is None else f'{less:.2g} nats less'
    return f'{low}, {"no upper end" if more is None else f"{more:.2g} more"}'


class Reach(NamedTuple):
  """Distances in tokens; 0 where no key holds half."""

  middle: int
  low: int
  high: int


def taught(of: Weights, L: int) -> float:
  """The gap in nats that training at length L had to teach.

  Where no head weighs the farthest key, as within hard windows, that of the
  farthest that is weighed.
  """
  costs = [head.cost(L) for head in of.heads]
  farthest = max(_largest(np.isfinite(cost)) for cost in costs)
  return float(min(cost[farthest] for cost in costs))


def at(
  of: Weights,
  n: int,
  L: int,
  gap: Gap,
  heads: Sequence[Head] | None = None,
) -> Reach:
  """The reach at length n of a model trained at length L.

  `heads` are those that answer, if other than were trained: through a window.
  """
  costs = [head.cost(n) for head in heads or of.heads]
  nats = gap.around(taught(of, L))
  seen = [np.where(np.isfinite(c), c, np.nan) for c in costs]
  return Reach(*(max(_largest(c <= g) for c in seen) for g in nats))


def _largest(which: Bool[np.ndarray, ' d']) -> int:
  """The largest distance that is chosen, 0 if none is."""
  (chosen,) = np.nonzero(which)
  return int(chosen[-1]) if len(chosen) else 0


def needed(heads: Sequence[Head], n: int) -> Float[np.ndarray, ' n']:
  """Delta_n(t) in nats, t = 0 .. n - 1, of the head where it costs least."""
  return np.min([head.cost(n) for head in heads], axis=0)


class Asked(NamedTuple):
  """A cell of a probe.

  Attributes:
    nats: of the gap that it needs, what training had not to teach.
    kept: whether the needle was answered.
  """

  nats: float
  kept: bool


def thresholds(asked: Mapping[str, Sequence[Asked]]) -> tuple[float, float]:
  """The ends of all gaps that judge cells best, encodings counted alike.

  A gap g says that cells of at most g nats are kept, others lost. None of a
  lost needle bounds it from below alone, and its upper end is infinite.
  """
  every = [(c, 1 / len(of)) for of in asked.values() for c in of]
  nats = np.array([c.nats for c, _ in every])
  edges = np.unique(nats)
  # In units of one encoding; below the least cell, all are said to be lost.
  gain = [(1 if c.kept else -1) * share for c, share in every]
  steps = [np.sum(gain, where=nats == edge) for edge in edges]
  right = np.cumsum([0.0, *steps])
  (best,) = np.nonzero(right >= right.max() - 1e-9)
  ends = np.array([-np.inf, *edges, np.inf])
  return float(ends[best[0]]), float(ends[best[-1] + 1])


def fit(asked: Mapping[str, Sequence[Asked]]) -> Gap:
  """The gap from what probes measured.

  It is between the thresholds of all cells, in the middle where both are known.
  The interval is jackknife+ over encodings, where one is missed by how far its
  own thresholds are from those of the others. So what cells do not tell apart
  is within it, and where one encoding of a few tells all that is known of an
  end, there is none.

  Args:
    asked: by encoding, cells beyond the training length.
  """
  if len(asked) < ENOUGH:
    return Gap()
  names = list(asked)
  own = np.array([thresholds({name: asked[name]}) for name in names])
  without = np.array([
    thresholds({k: v for k, v in asked.items() if k != name}) for name in names
  ])  # fmt: skip
  missed = np.maximum(own[:, 0] - without[:, 1], without[:, 0] - own[:, 1])
  missed = np.maximum(missed, 0.0)
  low, high = thresholds(asked)
  least, _ = interval(without[:, 0], missed)
  _, most = interval(without[:, 1], missed)
  shift = (low + high) / 2 if np.isfinite(high) else low
  if not np.isfinite(shift):
    raise ValueError(
      f'probes of {len(asked)} encodings kept no needle beyond the training '
      'length: no gap can be fitted; train for longer'
    )
  return Gap(
    shift,
    max(shift - least, 0.0) if np.isfinite(least) else None,
    max(most - shift, 0.0) if np.isfinite(most) else None,
    f'fitted on probes of {len(asked)} encodings',
  )
