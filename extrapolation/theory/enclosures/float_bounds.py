r"""A formula read in float64 at many distances, with bounds of its error.

Every value v carries e >= |v - true value|: what the operation makes of the
errors of its arguments, plus its own rounding, which is 0 where it is seen to
be exact (sums by Knuth's two-sum, products of whole numbers or by a power of
two). Where float64 overflows, cancels or cannot settle a case, e is infinite
and balls take over (finite_sum.py).

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002,
sections 3.3 and 4.3. numpy's functions are within 4 units in the last place
(its test-suite holds them to that); 16 are allowed here.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from extrapolation.theory.expression.graph import Node, tape, value_missing

UNIT = 2.0**-53
LIBRARY = 32 * UNIT  # of the functions of numpy: 16 units in the last place
TINY = 2.0**-1074
CHUNK = 1 << 16  # distances at a time, so that memory does not grow with n


class Bounded(NamedTuple):
  """Values, or truth values, and bounds of their errors."""

  v: np.ndarray
  e: np.ndarray


def log_weights(
  root: Node, t: Float[np.ndarray, ' d']
) -> tuple[Float[np.ndarray, ' d'], Float[np.ndarray, ' d']]:
  """b(t) in float64, NaN where it has no value, and bounds of its error."""
  steps, parts = tape(root), []
  with np.errstate(all='ignore'):
    for i in range(0, max(len(t), 1), CHUNK):
      out = _run(steps, t[i : i + CHUNK])
      parts.append([np.broadcast_to(x, t[i : i + CHUNK].shape) for x in out])
  v, e = (np.concatenate(x) for x in zip(*parts, strict=True))
  # The bounds are themselves computed in float64: hence the factor.
  return v.astype(np.float64), np.where(np.isnan(v), np.inf, e * (1 + 1e-9))


def _run(steps: Sequence, t: np.ndarray) -> Bounded:
  out: list[Bounded] = []
  for op, args, data in steps:
    values = [out[a] for a in args]
    if op == 't':
      value = Bounded(t, np.zeros_like(t))
    elif op == 'const':
      value = _constant(data)
    elif op in ('inf', 'nan'):
      exact = op == 'inf'
      value = _leaf(data * math.inf if exact else math.nan, exact)
    elif op == 'param':
      raise value_missing(data)
    elif op == 'add':
      value = _constant(data[0])
      for c, x in zip(data[1], values, strict=True):
        value = _plus(value, _mul(_constant(c), x))
    else:
      value = RULES[op](*values)
    lost = np.isnan(value.v) | np.isnan(value.e)  # NaN is no bound
    out.append(Bounded(value.v, np.where(lost, np.inf, value.e)))
  return out[-1]


def _leaf(v: float | bool, exact: bool = True) -> Bounded:
  return Bounded(np.asarray(v), np.asarray(0.0 if exact else math.inf))


def _constant(c: Fraction | bool) -> Bounded:
  if isinstance(c, bool):
    return _leaf(c)
  try:
    v = float(c)
  except OverflowError:
    return _leaf(math.inf if c > 0 else -math.inf, False)
  return Bounded(np.asarray(v), np.asarray(_up(abs(c - Fraction(v)))))


def _up(x: Fraction) -> float:
  return float(x) * 1.01 + TINY if x else 0.0


def _is_whole(x: np.ndarray) -> np.ndarray:
  return x == np.floor(x)


def _plus(a: Bounded, b: Bounded) -> Bounded:
  s = a.v + b.v
  part = s - a.v
  rounding = np.abs((a.v - (s - part)) + (b.v - part))
  infinite = np.isinf(a.v) | np.isinf(b.v)  # and so is the sum, exactly
  rounding = np.where(np.isinf(s), np.where(infinite, 0, np.inf), rounding)
  return Bounded(s, a.e + b.e + np.where(np.isnan(s), np.inf, rounding))


def _mul(a: Bounded, b: Bounded) -> Bounded:
  p = a.v * b.v
  whole = _is_whole(a.v) & _is_whole(b.v) & (np.abs(p) < 2.0**53)
  halves = np.abs(np.frexp(a.v)[0]) == 0.5  # a power of two, or minus one
  normal = (np.abs(p) > 1e-290) & np.isfinite(p)
  rounding = np.abs(p) * UNIT + TINY
  nothing = (a.v == 0) | (b.v == 0)
  rounding = np.where(whole | nothing | (halves & normal), 0, rounding)
  e = np.abs(a.v) * b.e + np.abs(b.v) * a.e + a.e * b.e + rounding
  fixed = False
  for x, y in ((a, b), (b, a)):  # an infinity times a sign that is certain
    fixed |= np.isinf(x.v) & (x.e == 0) & (np.abs(y.v) > y.e)
  return Bounded(p, np.where(np.isinf(p), np.where(fixed, 0, np.inf), e))


def _exp(x: Bounded) -> Bounded:
  v = np.exp(x.v)
  e = np.exp(x.v + x.e) * (4 * LIBRARY - np.expm1(-x.e)) + 2 * TINY
  exact = (x.e == 0) & ((x.v == 0) | np.isinf(x.v))
  return Bounded(v, np.where(exact, 0, np.where(np.isinf(v), np.inf, e)))


def _log(x: Bounded) -> Bounded:
  v, least = np.log(x.v), x.v - x.e
  e = np.where(least > 0, x.e / least * (1 + 1e-12), np.inf)
  e = e + np.abs(v) * LIBRARY
  exact = (x.e == 0) & ((x.v == 0) | (x.v == 1) | (x.v == np.inf))
  return Bounded(v, np.where(exact, 0, np.where(np.isinf(x.v), np.inf, e)))


def _bounded(f, slope: float):
  """A function with f(0) = 0 or 1 whose slope is at most `slope`."""

  def rule(x: Bounded) -> Bounded:
    v = f(x.v)
    e = slope * x.e + LIBRARY
    return Bounded(v, np.where((x.v == 0) & (x.e == 0), 0, e))

  return rule


def _lgamma(x: Bounded) -> Bounded:
  """|digamma(y)| <= |ln y| + 1 / y for y > 0."""
  v, low, high = LGAMMA(np.where(x.v > 0, x.v, 1)), x.v - x.e, x.v + x.e
  slope = np.abs(np.log(low)) + np.abs(np.log(high)) + 1 / low
  e = np.where(low > 0, slope * x.e * 1.01 + (np.abs(v) + 1) * LIBRARY, np.inf)
  return Bounded(v, e)


def _pow(x: Bounded, y: Bounded) -> Bounded:
  v, size = np.power(x.v, y.v), np.abs(x.v) - x.e
  logs = np.abs(np.log(np.abs(x.v))) + x.e / size
  shift = (np.abs(y.v) + y.e) * x.e / size + y.e * logs
  normal = np.maximum(np.abs(v), 1e-290)
  e = normal * (np.expm1(shift * (1 + 1e-9)) + 2 * LIBRARY * np.exp(shift))
  e = np.where(np.abs(v) > 1e-290, e, normal * np.exp(shift))
  e = np.where(size > 0, e, np.inf)
  e = np.where((x.v < 0) & ~((y.e == 0) & _is_whole(y.v)), np.inf, e)
  e = np.where(np.isfinite(v) & np.isfinite(x.v), e, np.inf)
  fixed = (x.e == 0) & (y.e == 0)
  whole = fixed & _is_whole(x.v) & _is_whole(y.v) & (y.v >= 0)
  whole &= np.abs(v) < 2.0**40  # its error is below 1/2
  nothing = fixed & (x.v == 0) & (y.v > 0)
  v = np.where(whole, np.rint(v), v)
  return Bounded(v, np.where(whole | nothing, 0, e))


def _floor(x: Bounded) -> Bounded:
  v = np.floor(x.v)
  room = np.minimum(x.v - v, v + 1 - x.v)  # both differences are exact
  known = (x.e == 0) | (room > 1.01 * x.e)
  return Bounded(v, np.where(np.isfinite(v) & known, 0, np.inf))


def _known(x: Bounded) -> np.ndarray:
  return (x.e == 0) | (np.abs(x.v) > x.e)


def _truth(v: np.ndarray, known: np.ndarray) -> Bounded:
  return Bounded(v, np.where(known, 0, np.inf))


def _minus(x: Bounded) -> Bounded:
  return Bounded(-x.v, x.e)


def _max(x: Bounded, y: Bounded) -> Bounded:
  e = np.maximum(x.e, y.e)
  for a, b in ((x, y), (y, x)):  # the larger one for certain
    e = np.where(a.v - a.e > b.v + b.e, a.e, e)
  return Bounded(np.maximum(x.v, y.v), e)


def _select(c: Bounded, a: Bounded, b: Bounded) -> Bounded:
  same = (a.v == b.v) & (np.maximum(a.e, b.e) == 0)
  e = np.where(c.v, a.e, b.e)
  return Bounded(
    np.where(c.v, a.v, b.v), np.where((c.e > 0) & ~same, np.inf, e)
  )


def _table(index: Bounded, *entries: Bounded) -> Bounded:
  i = np.clip(np.nan_to_num(index.v, nan=0.0), 0, len(entries) - 1).astype(int)
  shape = np.broadcast_shapes(i.shape, *(x.v.shape for x in entries))
  v, e = np.empty(shape, np.asarray(entries[0].v).dtype), np.empty(shape)
  for k, x in enumerate(entries):
    at = np.broadcast_to(i == k, shape)
    v[at] = np.broadcast_to(x.v, shape)[at]
    e[at] = np.broadcast_to(x.e, shape)[at]
  return Bounded(v, np.where(index.e > 0, np.inf, e))


def _junction(strong: bool):
  """or, and: known where one argument decides, or where all are known."""

  def rule(*args: Bounded) -> Bounded:
    joined = np.logical_or if strong else np.logical_and
    v = joined.reduce(np.broadcast_arrays(*(x.v for x in args)))
    known = np.logical_and.reduce(
      np.broadcast_arrays(*(x.e == 0 for x in args))
    )
    decides = np.logical_or.reduce(
      np.broadcast_arrays(*((x.v == strong) & (x.e == 0) for x in args))
    )
    return _truth(np.where(decides, strong, v), known | decides)

  return rule


LGAMMA = np.vectorize(math.lgamma, otypes=[float])
ERF = np.vectorize(math.erf, otypes=[float])
RULES = {
  'mul': _mul,
  'exp': _exp,
  'log': _log,
  'pow': _pow,
  'sin': _bounded(np.sin, 1),
  'cos': _bounded(np.cos, 1),
  'atan': _bounded(np.arctan, 1),
  'erf': _bounded(ERF, 1.13),  # 2 / sqrt(pi)
  'lgamma': _lgamma,
  'abs': lambda x: Bounded(np.abs(x.v), x.e),
  'floor': _floor,
  'sign': lambda x: _truth(np.sign(x.v), _known(x)),
  'max': _max,
  'min': lambda x, y: _minus(_max(_minus(x), _minus(y))),
  'lt': lambda x: _truth(x.v < 0, _known(x)),
  'le': lambda x: _truth(x.v <= 0, _known(x)),
  'eq': lambda x: _truth(x.v == 0, _known(x)),
  'not': lambda x: Bounded(np.logical_not(x.v), x.e),
  'and': _junction(False),
  'or': _junction(True),
  'select': _select,
  'table': _table,
}
