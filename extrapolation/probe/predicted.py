"""What theory says of the reach of a trained model: nats, and tokens."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from extrapolation.model import Model
from extrapolation.predict import reach, weights
from extrapolation.predict.weights import Head, Weights
from extrapolation.theory import TheoryError, subjects
from extrapolation.theory.expression.graph import Node

ENDS = 'predicted', 'predicted_low', 'predicted_high'
GAP = 'gap', 'gap_low', 'gap_high'  # nats; None for no end


@dataclasses.dataclass(frozen=True)
class Windowed(Head):
  """A head that sees the nearest keys alone; a longer text dilutes no more."""

  window: int

  def cost(self, n: int) -> Float[np.ndarray, ' n']:
    """Delta_min(n, window)(t), infinite of keys that are out of sight."""
    seen = super().cost(min(n, self.window))
    return np.pad(seen, (0, n - len(seen)), constant_values=np.inf)


class Known(NamedTuple):
  """What theory reads from a trained model.

  Attributes:
    weights: of its distinct heads, or why there are none.
    numbers: of each of these, the numbers of the heads that weigh so.
  """

  weights: Weights
  numbers: Sequence[frozenset[int]] = ()

  def through(self, keys: Sequence[int] | None) -> Sequence[Head]:
    """The heads behind a window of so many keys in each; None sees all."""
    heads = self.weights.heads
    if keys is None:
      return heads
    return [
      Windowed(head.sums, head.b, head.count, window)
      for head, numbers in zip(heads, self.numbers, strict=True)
      for window in sorted({keys[i] for i in numbers})
    ]


def read(m: Model, params: dict, n: int) -> Known:
  """The weights below n that a model has learned, in each of its heads.

  What theory does not judge by weights has `why` instead: a rotation, a clock,
  a heat.
  """
  roots: Counter[Node] = Counter()
  numbers: dict[Node, frozenset[int]] = {}
  try:
    for encoding, row in m.rpe_by_layer(params):
      if not encoding.bias_only:
        beside = encoding.beside_bias
        return Known(Weights(why=f'not judged: order enters through {beside}'))
      values = {k: np.asarray(v, np.float32) for k, v in row.items()}
      of_layer = subjects.heads(encoding, values)
      roots.update(of_layer)
      for i, root in enumerate(of_layer):
        numbers[root] = numbers.get(root, frozenset()) | {i}
    heads = weights.heads(roots, n)
    return Known(Weights(heads=heads), [numbers[root] for root in roots])
  except (TheoryError, OverflowError) as e:
    return Known(Weights(why=f'not judged: {" ".join(str(e).split())}'))


def costs(
  of: Known, n: int, keys: Sequence[int] | None = None
) -> Float[np.ndarray, ' n'] | None:
  """Delta_n(t) of the head where it is least, nats; None if not judged."""
  if of.weights.why:
    return None
  return reach.needed(of.through(keys), n)


def reaches(
  of: Known,
  windows: Mapping[int, Sequence[int] | None],
  T: int,
  gap: reach.Gap,
) -> dict[int, dict]:
  """By length, the reach that is predicted of a training length T.

  That of half of the attention, in the best head, for the gap in nats that
  training had to teach and what models have beyond it; no number where theory
  does not judge, and `why`. What a window hides is not reached, and what it
  leaves is diluted by the keys in it alone.

  Args:
    windows: of each length, the keys that each head sees; None is all.
    gap: of a law.
  """
  if why := of.weights.why:
    none = dict.fromkeys((*ENDS, *GAP))
    return {n: {**none, 'why': why} for n in windows}
  ends = gap.around(reach.taught(of.weights, T))
  nats = (x if np.isfinite(x) else None for x in ends)
  shown = dict(zip(GAP, nats, strict=True))
  out = {}
  for n, keys in windows.items():
    said = reach.at(of.weights, n, T, gap, of.through(keys))
    out[n] = dict(zip(ENDS, said, strict=True)) | shown | dict(why='')
  return out
