r"""A formula read in float64 intervals, at many distances at once.

Every value lies between two arrays, rounded outwards: sums and products by one
unit in the last place, or not at all where they are seen to be exact (sums by
Knuth's two-sum, products of whole numbers or by a power of two). A truth value
is the pair (certainly, possibly). What float64 cannot tell is (-inf, inf), and
balls take over (enclosures/finite_sum.py).

Sources: Moore, Kearfott and Cloud, Introduction to Interval Analysis, 2009;
Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002, section
4.3. numpy's functions are within 4 units in the last place (its test-suite
holds them to that); 16 are allowed here.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float

from extrapolation.theory.expression.graph import Node, tape, value_missing

UNIT = 2.0**-53
LIBRARY = 32 * UNIT  # of the functions of numpy: 16 units in the last place
TINY = 2.0**-1074
CHUNK = 1 << 16  # distances at a time, so that memory does not grow with n
Interval = tuple[Any, Any]  # lower and upper bound: arrays or numbers
ANY: Interval = (-math.inf, math.inf)


def log_weights(
  root: Node,
  t: Float[np.ndarray, ' d'],
  rounded: bool = True,
  error: float = 0.0,
) -> tuple[Float[np.ndarray, ' d'], Float[np.ndarray, ' d']]:
  """Bounds of b(t); both the plain float64 value if it is not `rounded`.

  error: relative, of the distances themselves where they are not whole.
  """
  steps, rules, parts = tape(root), Rules(rounded), []
  for i in range(0, max(len(t), 1), CHUNK):
    x, out = t[i : i + CHUNK], []
    off = error * (x != np.floor(x))
    ends = (x * (1 - off), x * (1 + off)) if error else (x, x)
    for op, args, data in steps:
      if op == 'param':
        raise value_missing(data)
      values = [out[a] for a in args]
      out.append(ends if op == 't' else rules(op, data, values))
    parts.append([np.broadcast_to(end, x.shape) for end in out[-1]])
  low, high = (np.concatenate(x) for x in zip(*parts, strict=True))
  return low.astype(np.float64), high.astype(np.float64)


class Rules:
  """What every operation of `graph.Graph` but t and param does to intervals."""

  def __init__(self, rounded: bool = True):
    self.rounded = rounded

  def __call__(self, op: str, data: Any, args: Sequence[Interval]) -> Interval:
    """The interval of one operation, (-inf, inf) where float64 cannot tell."""
    with np.errstate(all='ignore'):
      if op in PLAIN:
        low, high = PLAIN[op](*args)
      elif op in INCREASING:
        low, high = self._increasing(*INCREASING[op], *args)
      else:
        with_data = (data,) if op in ('const', 'inf', 'add') else ()
        low, high = getattr(self, '_' + op)(*with_data, *args)
      lost = np.isnan(low) | np.isnan(high)
      if not self.rounded or not np.any(lost):
        return low, high
      return np.where(lost, -np.inf, low), np.where(lost, np.inf, high)

  def _outward(
    self, corners: Sequence, relative: float, exact: Sequence
  ) -> Interval:
    """Bounds of values computed to a relative error, some without any."""
    low = high = None
    for x, known in zip(corners, exact, strict=True):
      ends = []
      for side in (-1, 1):
        moved = x + side * (np.abs(x) * relative + TINY)
        moved = np.where(np.isinf(x), np.nextafter(x, side * np.inf), moved)
        ends.append(np.where(known, x, moved) if self.rounded else x)
      low = ends[0] if low is None else np.minimum(low, ends[0])
      high = ends[1] if high is None else np.maximum(high, ends[1])
    return low, high

  def _const(self, c: Fraction | bool) -> Interval:
    if isinstance(c, bool):
      return c, c
    try:
      v = float(c)
    except OverflowError:
      v = math.copysign(math.inf, c)
    return self._outward([v], 2 * UNIT, [v == c])

  def _inf(self, sign: int) -> Interval:
    return sign * math.inf, sign * math.inf

  def _add(self, data: tuple, *args: Interval) -> Interval:
    out = self._const(data[0])
    for c, x in zip(data[1], args, strict=True):
      out = self._plus(out, self._mul(self._const(c), x))
    return out

  def _plus(self, x: Interval, y: Interval) -> Interval:
    low, high = (
      self._sum(a, b)[i] for i, (a, b) in enumerate(zip(x, y, strict=True))
    )
    return low, high

  def _sum(self, a: Any, b: Any) -> Interval:
    s = a + b
    part = s - a
    error = (a - (s - part)) + (b - part)
    exact = (error == 0) | np.isinf(a) | np.isinf(b)
    return self._outward([s], 2 * UNIT, [exact])

  def _mul(self, x: Interval, y: Interval) -> Interval:
    corners, exact = [], []
    for a, b in itertools.product(_ends(x), _ends(y)):
      p = a * b
      whole = (a == np.floor(a)) & (b == np.floor(b)) & (np.abs(p) < 2.0**53)
      halves = (np.abs(np.frexp(a)[0]) == 0.5) & np.isfinite(p)
      infinite = np.isinf(a) | np.isinf(b)
      corners.append(p)
      exact.append(whole | infinite | (p == 0) & ((a == 0) | (b == 0))
                   | halves & (np.abs(p) > 1e-290))  # fmt: skip
    return self._outward(corners, 2 * UNIT, exact)

  def _pow(self, x: Interval, y: Interval) -> Interval:
    """Monotone in x >= 0 and in y; of x < 0 for a whole y alone."""
    n = np.where(y[0] == y[1], y[0], 0.5)
    even, odd = n % 2 == 0, n % 2 == 1
    size = _abs(x)
    base = tuple(np.where(even, a, b) for a, b in zip(size, x, strict=True))
    corners, exact = [], []
    for a, b in itertools.product(_ends(base), _ends(y)):
      v = np.power(a, b)
      whole = (a == np.floor(a)) & (b == np.floor(b)) & (b >= 0)
      whole &= np.abs(v) < 2.0**40  # its error is below 1/2
      corners.append(np.where(whole, np.rint(v), v))
      exact.append(whole | (a == 0) & (b > 0))
    low, high = self._outward(corners, 2 * LIBRARY, exact)
    pole = (n < 0) & (x[0] <= 0) & (x[1] >= 0)
    lost = np.where(odd, pole, ~even & (x[0] < 0))
    return np.where(lost, np.nan, low), np.where(lost, np.nan, high)

  def _increasing(self, f: Callable, exact: tuple, x: Interval) -> Interval:
    low, high = (
      self._outward([f(a)], LIBRARY, [np.isin(a, exact)])[i]
      for i, a in enumerate(x)
    )
    return np.fmax(low, f(-np.inf)) if self.rounded else low, high

  def _lgamma(self, x: Interval) -> Interval:
    """|digamma(y)| <= |ln y| + 1 / y for y > 0."""
    low, high = np.where(x[0] > 0, x[0], np.nan), x[1]
    slope = np.abs(np.log(low)) + np.abs(np.log(high)) + 1 / low
    v = LGAMMA(np.where(x[0] > 0, x[0], 1)) + 0 * low
    return self._within(v, (high - low) * slope, (np.abs(v) + 1) * LIBRARY)

  def _within(self, v: Any, spread: Any, error: Any) -> Interval:
    """v of one point, the spread to the others, and an error."""
    if not self.rounded:
      return v, v
    error = spread * (1 + LIBRARY) + error
    return v - error, v + error

  def _wave(self, f: Callable, x: Interval) -> Interval:
    nothing = (x[0] == 0) & (x[1] == 0)
    error = np.where(nothing, 0, LIBRARY)
    low, high = self._within(f(x[0]), x[1] - x[0], error)
    return np.clip(low, -1, 1), np.clip(high, -1, 1)

  def _sin(self, x: Interval) -> Interval:
    return self._wave(np.sin, x)

  def _cos(self, x: Interval) -> Interval:
    return self._wave(np.cos, x)


def _ends(x: Interval) -> tuple:
  """The ends of an interval that differ."""
  return x[:1] if x[0] is x[1] else x


def _abs(x: Interval) -> Interval:
  return np.maximum(np.maximum(x[0], -x[1]), 0), np.maximum(-x[0], x[1])


def _all(f: Callable) -> Callable[..., Any]:
  """A function that increases in each of its arguments, without rounding."""
  return lambda *x: tuple(
    functools.reduce(f, end) for end in zip(*x, strict=True)
  )


def _case(sure: Sequence, cases: Sequence[Interval]) -> Interval:
  """The case that is sure, or the hull of all where none is."""
  (low, _), (_, high) = _all(np.minimum)(*cases), _all(np.maximum)(*cases)
  lows, highs = zip(*cases, strict=True)
  return np.select(sure, lows, low), np.select(sure, highs, high)


def _table(index: Interval, *entries: Interval) -> Interval:
  ends = [np.floor(np.clip(end, 0, len(entries) - 1)) for end in index]
  sure = [(ends[0] == k) & (ends[1] == k) for k in range(len(entries))]
  return _case(sure, entries)


LGAMMA = np.vectorize(math.lgamma, otypes=[float])
ERF = np.vectorize(math.erf, otypes=[float])
PLAIN: dict[str, Callable[..., Interval]] = {
  'abs': _abs,
  'floor': lambda x: (np.floor(x[0]), np.floor(x[1])),
  'sign': lambda x: (np.sign(x[0]), np.sign(x[1])),
  'max': _all(np.maximum),
  'min': _all(np.minimum),
  'lt': lambda x: (x[1] < 0, x[0] < 0),
  'le': lambda x: (x[1] <= 0, x[0] <= 0),
  'eq': lambda x: ((x[0] == 0) & (x[1] == 0), (x[0] <= 0) & (x[1] >= 0)),
  'not': lambda x: (np.logical_not(x[1]), np.logical_not(x[0])),
  'and': _all(np.logical_and),
  'or': _all(np.logical_or),
  'param': lambda: ANY,
  'nan': lambda: (math.nan, math.nan),
  'select': lambda c, x, y: _case([c[0], np.logical_not(c[1])], [x, y]),
  'table': _table,
}
# With the arguments at which they are exact.
INCREASING = {
  'exp': (np.exp, (0, -np.inf, np.inf)),
  'log': (np.log, (0, 1, np.inf)),
  'atan': (np.arctan, (0,)),
  'erf': (ERF, (0, -np.inf, np.inf)),
}
