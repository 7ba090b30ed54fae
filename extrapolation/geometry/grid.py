import functools
import math
from collections.abc import Callable
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from extrapolation.geometry import base

MOST_AXES = 6
AXES = 'height', 'width', 'depth'


def make(axes: int = 2, norm: str = 'l1') -> base.Geometry:
  r"""Cells of a grid Z^axes, at the l1, l2 or max norm of their difference.

  Keys at distance n >= 1: with l1, sum_k 2^k C(axes, k) C(n - 1, k - 1), in the
  plane 4 n; with max, (2 n + 1)^axes - (2 n - 1)^axes, in the plane 8 n. The
  distances of l2 are not whole: a bias is read at their values. Every norm
  gives a bias that never rises the same verdict, since each is at most a
  constant times any other.
  """
  if not 1 <= axes <= MOST_AXES:
    raise ValueError(f'axes = {axes}: a grid has 1 to {MOST_AXES} axes')
  if norm not in NORMS:
    raise ValueError(f'norm = {norm!r}; there are: {", ".join(NORMS)}')
  length, whole, counts, longest = NORMS[norm]
  coefficients = counts(axes)

  def distance(
    query: Num[Array, '*q c'], key: Num[Array, '*k c']
  ) -> Num[Array, '*t']:
    return length(query - key)

  def log_count(distance: Num[Array, ' d']) -> Float[Array, ' d']:
    t = distance.astype(jnp.float32)
    return jnp.log(jnp.where(t > 0, _value(coefficients, t), 1.0))

  names = AXES[:axes] if axes > 1 else ('length',)
  names += tuple(f'axis {i + 1}' for i in range(len(names), axes))
  return base.Geometry(
    axes=names,
    places=cells,
    distance=distance,
    longest=lambda size: longest([n - 1 for n in size]),
    whole=whole,
    shift_invariant=True,
    log_count=log_count,
    exact=norm != 'l2',
    query=middle,
    source='lattice points by norm; images as in CROMA (arXiv 2311.00566), '
    'which takes l2',
  )


def cells(size: base.Size) -> np.ndarray:
  """Coordinates [T, axes], in the order of an array of this shape."""
  return np.stack(np.unravel_index(np.arange(math.prod(size)), size), -1)


def middle(size: base.Size) -> int:
  """The cell at half of each axis."""
  return int(np.ravel_multi_index([n // 2 for n in size], size))


def _l1(x: Num[Array, '*t c']) -> Num[Array, '*t']:
  return abs(x).sum(-1)


def _l2(x: Num[Array, '*t c']) -> Num[Array, '*t']:
  return (x * x).sum(-1) ** 0.5


def _max(x: Num[Array, '*t c']) -> Num[Array, '*t']:
  return abs(x).max(-1)


Polynomial = tuple[Fraction, ...]  # coefficients, of n^0 first


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
  out = [Fraction(0)] * (len(a) + len(b) - 1)
  for i, x in enumerate(a):
    for j, y in enumerate(b):
      out[i + j] += x * y
  return tuple(out)


def _l1_count(axes: int) -> Polynomial:
  """sum over k of 2^k C(axes, k) C(n - 1, k - 1)."""
  out = [Fraction(0)] * axes
  for k in range(1, axes + 1):
    term: Polynomial = (Fraction(2**k * math.comb(axes, k)),)
    for i in range(1, k):  # C(n - 1, k - 1) = prod (n - i) / i
      term = _times(term, (Fraction(-1), Fraction(1, i)))
    for i, x in enumerate(term):
      out[i] += x
  return tuple(out)


def _max_count(axes: int) -> Polynomial:
  """(2 n + 1)^axes - (2 n - 1)^axes."""
  power = lambda c: functools.reduce(  # noqa: E731
    _times, [(Fraction(c), Fraction(2))] * axes
  )
  return tuple(
    a - b for a, b in zip(power(1), power(-1), strict=True)
  )[:axes]  # fmt: skip


def _value(polynomial: Polynomial, t: Float[Array, ' d']) -> Float[Array, ' d']:
  """Its value, of whole numbers alone and one division: read exactly."""
  scale = math.lcm(*(x.denominator for x in polynomial))
  out = jnp.zeros_like(t)
  for x in reversed(polynomial):
    out = out * t + float(x * scale)
  return out / scale if scale > 1 else out


Norm = tuple[Callable, bool, Callable[[int], Polynomial], Callable]
NORMS: dict[str, Norm] = {
  'l1': (_l1, True, _l1_count, sum),
  'l2': (_l2, False, _l1_count, lambda x: math.hypot(*x)),
  'max': (_max, True, _max_count, max),
}
