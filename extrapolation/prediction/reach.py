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
from jaxtyping import Bool

from extrapolation.prediction.conformal import interval
from extrapolation.prediction.weights import Head, Weights

ENOUGH = 5  # encodings with a measured reach, to fit the gap
HALF = 0.5  # nats, while there are fewer
LEVEL = 0.8


@dataclasses.dataclass(frozen=True)
class Gap:
  """What models have beyond the gap that training had to teach, in nats.

  Attributes:
    shift: the middle.
    less, more: the ends of the interval, from the middle.
    source: where these numbers are from.
  """

  shift: float = 0.0
  less: float = HALF
  more: float = HALF
  source: str = (
    'assumed, half a nat less or more: a fit takes probe tables of '
    f'{ENOUGH} encodings'
  )


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
  middle = taught(of, L) + gap.shift
  nats = middle, middle - gap.less, middle + gap.more
  return Reach(*(max(_largest(c <= g) for c in costs) for g in nats))


def _largest(which: Bool[np.ndarray, ' d']) -> int:
  """The largest distance that is chosen, 0 if none is."""
  (chosen,) = np.nonzero(which)
  return int(chosen[-1]) if len(chosen) else 0


def implied(heads: Sequence[Head], n: int, reach: int) -> float:
  """The gap in nats that a measured reach at length n needs."""
  return float(min(head.cost(n)[reach] for head in heads))


def fit(excess: Mapping[str, Sequence[float]]) -> Gap:
  """The gap from what probes measured.

  Args:
    excess: by encoding, the gaps that its measured reach implied, each less
      what training had to teach, in nats; one per length.
  """
  if len(excess) < ENOUGH:
    return Gap()
  values = np.array([float(np.median(x)) for x in excess.values()])
  without = [np.median(np.delete(values, i)) for i in range(len(values))]
  missed = np.abs(values - without)
  shift = float(np.median(values))
  low, high = interval(np.array(without), missed, LEVEL)
  return Gap(
    shift,
    max(shift - low, 0.0),
    max(high - shift, 0.0),
    f'fitted on probes of {len(values)} encodings',
  )
