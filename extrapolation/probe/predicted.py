"""What theory says of the reach of a trained model: nats, and tokens."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from extrapolation.model import Model
from extrapolation.prediction import reach, weights
from extrapolation.prediction.weights import Weights
from extrapolation.theory import TheoryError, subjects
from extrapolation.theory.expression.graph import Node

ENDS = 'predicted', 'predicted_low', 'predicted_high'


def read(m: Model, params: dict, n: int) -> Weights:
  """The weights below n that a model has learned, in each of its heads.

  What theory does not judge by weights has `why` instead: a rotation, a clock,
  a heat.
  """
  roots: Counter[Node] = Counter()
  try:
    for encoding, row in m.rpe_by_layer(params):
      if not encoding.bias_only:
        beside = encoding.beside_bias
        return Weights(why=f'not judged: order enters through {beside}')
      values = {k: np.asarray(v, np.float32) for k, v in row.items()}
      roots.update(subjects.heads(encoding, values))
    return Weights(heads=weights.heads(roots, n))
  except (TheoryError, OverflowError) as e:
    return Weights(why=f'not judged: {" ".join(str(e).split())}')


def costs(of: Weights, n: int) -> Float[np.ndarray, ' n'] | None:
  """Delta_n(t) of the head where it is least, nats; None if not judged."""
  if of.why:
    return None
  return np.min([head.cost(n) for head in of.heads], axis=0)


def reaches(of: Weights, lengths: Sequence[int], T: int) -> dict[int, dict]:
  """By length, the reach that is predicted of a training length T.

  That of half of the attention, in the best head, for the gap in nats that
  training had to teach, and for half a nat less and more; no number where
  theory does not judge, and `why`.
  """
  if of.why:
    none = dict.fromkeys((*ENDS, 'gap'))
    return {n: {**none, 'why': of.why} for n in lengths}
  assumed, out = reach.Gap(), {}
  gap = reach.taught(of, T) + assumed.shift
  for n in lengths:
    ends = zip(ENDS, reach.at(of, n, T, assumed), strict=True)
    out[n] = dict(ends, gap=gap, why='')
  return out
