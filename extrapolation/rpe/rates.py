"""How fast clocks run and heats grow, per head: what theory needs of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from extrapolation.parts.normed import Normed
from extrapolation.rpe.base import RPE, Params
from extrapolation.rpe.compose import of_part


class Rates(NamedTuple):
  """Of one head; None is not known.

  Attributes:
    low, high: low (i - j) <= p_i - p_j <= high (i - j), for all inputs.
    heat: c such that s_i - c ln i is bounded.
  """

  low: float | None
  high: float | None
  heat: float | None


def rates(
  encoding: RPE,
  H: int,
  clock: Params,
  heat: Params,
  normed: Normed | None = None,
) -> list[Rates]:
  """The rates of all heads, at parameters of its clock and of its heat.

  Args:
    normed: what the layer's norm makes of content; None: not known.
  """
  if encoding.parts:
    size = H // len(encoding.parts)
    return [
      head
      for i, part in enumerate(encoding.parts)
      for head in rates(part, size, of_part(clock, i), of_part(heat, i), normed)
    ]
  low = high = grown = None
  if encoding.clock.is_index:
    low = high = np.ones(1)
  elif encoding.clock.pace is not None:
    low, high = encoding.clock.pace(clock, normed)
  if encoding.heat.is_one:
    grown = np.zeros(1)
  elif encoding.heat.rate is not None:
    grown = encoding.heat.rate(heat)
  columns = (_column(x, H) for x in (low, high, grown))
  return [Rates(*row) for row in zip(*columns, strict=True)]


def initial(encoding: RPE, H: int, D: int = 1) -> list[Rates]:
  """Those of initial parameters, with nothing known of the content."""
  key = jax.random.key(0)
  clock, heat = encoding.clock.init(key, D), encoding.heat.init(key, D)
  return rates(encoding, H, clock, heat)


def _column(x: Array | np.ndarray | None, H: int) -> Sequence[float | None]:
  if x is None:
    return [None] * H
  values = np.broadcast_to(np.asarray(x, np.float64), (H,)).tolist()
  return [None if math.isnan(v) else v for v in values]
