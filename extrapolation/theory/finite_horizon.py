"""A formula read in float64: what a finite horizon sees."""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from flint import arb
from jaxtyping import Float

from extrapolation.theory import trf_bounds
from extrapolation.theory.enclosures import sums
from extrapolation.theory.enclosures.ball import Program
from extrapolation.theory.enclosures.taylor_model import Jets, variable
from extrapolation.theory.errors import NeedsSmallerBlock
from extrapolation.theory.expression.graph import Node, tape, value_missing

LONGEST = 10**7  # tokens of a horizon

RULES = {
  'exp': np.exp,
  'log': np.log,
  'sin': np.sin,
  'cos': np.cos,
  'atan': np.arctan,
  'erf': np.vectorize(math.erf, otypes=[float]),
  'lgamma': np.vectorize(math.lgamma, otypes=[float]),
  'abs': np.abs,
  'floor': np.floor,
  'sign': np.sign,
  'max': np.maximum,
  'min': np.minimum,
  'mul': np.multiply,
  'pow': np.power,
  'lt': lambda x: x < 0,
  'le': lambda x: x <= 0,
  'eq': lambda x: x == 0,
  'not': np.logical_not,
  'and': lambda *x: np.logical_and.reduce(np.broadcast_arrays(*x)),
  'or': lambda *x: np.logical_or.reduce(np.broadcast_arrays(*x)),
  'select': np.where,
}


def log_weights(
  root: Node, t: Float[np.ndarray, ' d']
) -> Float[np.ndarray, ' d']:
  """b(t) in float64; NaN where the formula has no value."""
  out = []
  with np.errstate(all='ignore'):
    for op, args, data in tape(root):
      args = [out[a] for a in args]
      if op == 't':
        value = t
      elif op == 'const':
        value = data if isinstance(data, bool) else _float(data)
      elif op == 'inf':
        value = data * math.inf
      elif op == 'nan':
        value = math.nan
      elif op == 'param':
        raise value_missing(data)
      elif op == 'add':
        value = _float(data[0])
        for c, x in zip(data[1], args, strict=True):
          value = value + _float(c) * x
      elif op == 'table':
        index = np.clip(np.asarray(args[0], int), 0, len(args) - 2)
        value = (
          np.choose(index, args[1:])
          if len(args) < 32
          else _pick(index, args[1:], t)
        )
      else:
        value = RULES[op](*args)
      out.append(value)
  return np.broadcast_to(np.asarray(out[-1], np.float64), t.shape)


def _pick(index: np.ndarray, entries: Sequence, t: np.ndarray) -> np.ndarray:
  rows = np.stack([np.broadcast_to(e, t.shape) for e in entries])
  return np.take_along_axis(rows, np.broadcast_to(index, (1, *t.shape)), 0)[0]


def _float(x: Fraction | float) -> float:
  try:
    return float(x)
  except OverflowError:
    return math.inf if x > 0 else -math.inf


@dataclasses.dataclass(frozen=True)
class Horizon:
  """What distances below n show, whatever happens beyond.

  Attributes:
    n: the horizon in tokens.
    far_mass: share of the weight below n that lies at or beyond `train`.
    exponent: local exponent -t b'(t) at t = n: the p of t^-p there.
    trf: n(eps) of the weights below n, for each eps.
  """

  n: int
  far_mass: float | None
  exponent: float | None
  trf: list[int] | None


def horizon(root: Node, n: int, train: int, eps: Sequence[float]) -> Horizon:
  """The horizon form of a receptive field; None where weights are undefined."""
  if not 1 <= n <= LONGEST:
    raise ValueError(f'horizon = {n}: 1 to {LONGEST} tokens can be summed')
  b = log_weights(root, np.arange(n, dtype=np.float64))
  if np.isnan(b).any() or np.max(b) == np.inf or np.max(b) == -np.inf:
    return Horizon(n, None, exponent(root, n), None)
  w = np.exp(b - np.max(b))
  _, fields = trf_bounds.coverage(w, eps)
  far = float(w[train:].sum() / w.sum())
  return Horizon(n, far, exponent(root, n), [int(j) for j in fields])


def exponent(root: Node, t: int) -> float | None:
  """-t b'(t), from a power series; a difference at a kink."""
  with sums.precision():
    try:
      jet = Program(root)(variable(arb(t), arb(t)), Jets)
      slope = -t * float(jet.centre[1])
    except (NeedsSmallerBlock, ValueError):
      b = log_weights(root, np.array([t - 1.0, t + 1.0]))
      slope = -t * float(b[1] - b[0]) / 2
  return slope + 0.0 if math.isfinite(slope) else None  # -0.0 is 0
