"""A trained shape within a tested one, as the keys that one query sees."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int

from extrapolation.geometry import counts, sizes
from extrapolation.geometry.base import Size
from extrapolation.theory import far_share
from extrapolation.theory.expression.graph import Node
from extrapolation.theory.finite_horizon import digits
from extrapolation.theory.space import Space

MOST = 1 << 24  # keys of a shape


@dataclasses.dataclass(frozen=True, eq=False)
class Shapes:
  """Keys by their distance from the query that both shapes have in common.

  Attributes:
    train, test: sizes.
    t: the distances in the tested shape, in order.
    near: how many keys of the trained shape lie at each.
    all: how many of the tested shape.
  """

  train: Size
  test: Size
  t: Float[np.ndarray, ' d']
  near: Int[np.ndarray, ' d']
  all: Int[np.ndarray, ' d']


@dataclasses.dataclass(frozen=True)
class Far:
  """What lies beyond the trained shape, every digit proved; None: it was not.

  Attributes:
    far_mass: share of the weight of all keys.
    growth: nats by which ln Z exceeds that of the trained shape, Z the sum of
      the weights.
    share: bounds of the true share where |logits| <= M; None without M.
  """

  far_mass: float | None
  growth: float | None
  share: list[float] | None


def of(space: Space, train: str, test: str) -> Shapes:
  """Counts the keys of both; they are written as 16x32.

  Raises:
    ValueError: no such sizes, or the one is not within the other.
  """
  geometry = space.geometry
  small = sizes.parse(train, geometry, '--train')
  large = sizes.parse(test, geometry, '--test')
  for name, a, b in zip(geometry.axes, small, large, strict=True):
    if a > b:
      raise ValueError(
        f'--train={train} is larger than --test={test} in {name}: the trained '
        'shape lies within the tested one'
      )
  if math.prod(large) > MOST:
    raise ValueError(f'--test={test}: at most {MOST:,} keys are counted')
  (t, n), (near_t, near_n) = (
    counts.of_query(geometry, size) for size in (large, small)
  )
  near = np.zeros_like(n)
  places = np.minimum(np.searchsorted(t, near_t), len(t) - 1)
  near[places] = near_n
  if not np.array_equal(t[places], near_t) or np.any(near > n):
    raise ValueError(
      f'--train={train} is no part of --test={test} around the query that '
      f'{space.label} looks from'
    )
  return Shapes(small, large, t, near, n)


def far(space: Space, shapes: Shapes, b: Node, M: float | None = None) -> Far:
  """The weight of the keys outside of the trained shape.

  Args:
    b: the log weight, without free parameters.
    M: bound of |q.k| / sqrt K.

  Raises:
    UndefinedTotal: an infinite or undefined weight, or all of them 0.
    NotProved: too many weights that float64 does not settle.
  """
  sums = space.sums(b, shapes.t, shapes.all)
  # Exact counts are subtracted, and no sums: what is far may be very little.
  beyond, near = sums(shapes.all - shapes.near), sums(shapes.near)
  mass, share = digits(beyond / (beyond + near)), None
  if M is not None and mass is not None:
    share = far_share.printed(mass, M)
  return Far(mass, digits((beyond / near).log1p()), share)
