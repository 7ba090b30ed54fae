r"""The share of the keys beyond a length, from the far mass of the encoding.

F = T_{L,N} / B_N is the share of the weight of N keys that lies beyond L of
them: the share of the keys themselves where logits say nothing.
"""

import numpy as np
from jaxtyping import Float
from scipy import special


def interval(
  F: float | Float[np.ndarray, '...'], osc: float | Float[np.ndarray, '...']
) -> tuple[Float[np.ndarray, '...'], Float[np.ndarray, '...']]:
  """s(logit F - osc), s(logit F + osc): where the share p of far keys lies.

  |logit p - logit F| <= osc, the largest less the smallest logit (at most 2 M
  where |logit| <= M), with equality for far keys all at one logit and near
  keys all at another (docs/theory.md, theorem 4).
  """
  x = special.logit(np.asarray(F, np.float64))
  return special.expit(x - osc), special.expit(x + osc)


def printed(F: float, M: float) -> list[float]:
  """The interval of logits of at most M, to the digits that are printed."""
  return [float(f'{x:.9g}') for x in interval(F, 2 * M)]
