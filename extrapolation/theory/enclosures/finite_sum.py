r"""B = sum_{t<n} w(t) and T_j = sum_{j<=t<n} w(t) of finitely many weights.

Three readings, each sharper and slower than the one before: float64 intervals,
with balls at the distances that they do not settle; balls throughout; and exact
arithmetic in products of rational powers, which alone can tell that
T_j = eps B. All are shares, so the largest weight is divided out.
"""

import functools
from fractions import Fraction

import flint
import numpy as np
from flint import arb, fmpq
from jaxtyping import Float

from extrapolation.theory.enclosures import (
  ball,
  rational_weight,
  tail_bound,
)
from extrapolation.theory.enclosures.ball import PRECISION, Balls, Program
from extrapolation.theory.enclosures.block_sum import finite
from extrapolation.theory.errors import NotProved, UndefinedTotal
from extrapolation.theory.expression import float_intervals
from extrapolation.theory.expression.graph import Graph, Node, nodes

MOST = 1 << 17  # distances that are read in balls
SETTLED = 2.0**-24  # bound of the error of a log weight in float64
NOTHING = 800.0  # a weight of e^-800 of the largest is 0 to float64
ROW = 1 << 12  # of a sum by rows and columns


class Floats:
  """Enclosures of every T_j from float64.

  Raises:
    UndefinedTotal: an infinite or undefined weight, or all of them 0.
    NotProved: too many weights that float64 does not settle.
  """

  def __init__(self, root: Node, n: int):
    low, high = log_weights(root, np.arange(n, dtype=np.float64))
    top = np.max(high)
    if top == -np.inf:
      raise UndefinedTotal(f'every weight below {n} tokens is 0')
    a, b = weights(low, top, -1), weights(high, top, 1)
    self.top, self.weights = float(top), (a, b)
    self.low, self.high = _tails(a, -1), _tails(b, 1)
    if not self.low[0] > 0:
      raise NotProved(f'the weights below {n} tokens could not be enclosed')

  def prefix(self, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of sum_{start<=t<i} w(t), i = start .. n, in units of e^top."""
    low, high = (w[start:][::-1] for w in self.weights)
    return _tails(low, -1)[::-1], _tails(high, 1)[::-1]

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j."""
    del bits
    j = min(j, len(self.low) - 1)
    return arb(float(self.low[j])).union(arb(float(self.high[j])))


def log_weights(
  root: Node, t: Float[np.ndarray, ' d'], error: float = 0.0
) -> tuple[Float[np.ndarray, ' d'], Float[np.ndarray, ' d']]:
  """Bounds of b at distances, which have a relative error if they are no
  whole numbers.

  Raises:
    UndefinedTotal: an infinite or undefined weight.
    NotProved: too many weights that float64 does not settle.
  """
  low, high = float_intervals.log_weights(root, t, error=error)
  with np.errstate(invalid='ignore'):  # infinities that are exact are settled
    settled = (low == high) | (high - low < 2 * SETTLED)
  top = np.max(low, initial=-np.inf, where=settled)
  settled |= (high < top - NOTHING) & (low > -np.inf)
  (rest,) = np.nonzero(~settled | (low == np.inf))
  if len(rest) > MOST:
    raise NotProved(
      f'float64 does not settle {len(rest)} of the {len(t)} weights, and at '
      f'most {MOST} are read with more digits; a shorter horizon can be proved'
    )
  program = Program(root)
  with flint.ctx.workprec(PRECISION):
    for i in rest:
      x = program.at(_distance(t[i], error))
      finite(x, int(t[i]))
      low[i], high[i] = ball.ends(x)
  return low, high


def _distance(t: np.float64, error: float) -> arb | int:
  return int(t) if t == int(t) else arb(float(t), float(t) * error)


def weights(b: np.ndarray, top: float, side: int) -> np.ndarray:
  """exp(b - top) rounded down (side -1) or up (1)."""
  d = b - top
  with np.errstate(all='ignore'):
    slack = (np.abs(d) + 1) * 2 * float_intervals.LIBRARY
    w = np.exp(d) * (1 + side * slack) + side * float_intervals.TINY
  w = np.where(np.isneginf(b), 0.0, np.fmax(w, 0))
  return np.where(d == 0, 1.0, w)


def _tails(w: np.ndarray, side: int) -> Float[np.ndarray, ' n+1']:
  """Every T_j, rounded down or up: sums of rows and of their totals."""
  n = len(w)
  rows = np.zeros(-(-n // ROW) * ROW)
  rows[:n] = w
  rows = rows.reshape(-1, ROW)
  inside = np.cumsum(rows[:, ::-1], 1)[:, ::-1]
  after = np.cumsum(inside[::-1, 0])[::-1]
  after = np.append(after[1:], 0.0)
  out = np.append((inside + after[:, None]).ravel()[:n], 0.0)
  if out[0] < 2.0**53 and np.all(w == np.floor(w)):
    return out  # whole numbers are summed exactly
  steps = ROW + len(rows) + 4
  return out * (1 + side * steps * 2 * float_intervals.UNIT)


class Exact:
  """The same from balls, and by exact arithmetic where they meet.

  Raises:
    UndefinedTotal, NotProved: as `Floats`.
  """

  def __init__(self, root: Node, n: int):
    if n > MOST:
      raise NotProved(
        f'float64 does not settle it, and more digits are taken for at most '
        f'{MOST} tokens; a shorter horizon can be proved'
      )
    self.root, self.n = root, n
    self.program, total = Program(root), arb(0)
    with flint.ctx.workprec(ball.PRECISIONS[1]):
      b = [arb(self.program(fmpq(t), Balls)) for t in range(n)]
      top = functools.reduce(lambda x, y: y if y.mid() > x.mid() else x, b)
      if all(x == arb.neg_inf() for x in b):
        raise UndefinedTotal(
          'every weight is 0: there is no total to take a share of'
        )
      self.top = top.mid()
      tails = [total]
      for t in range(n - 1, -1, -1):
        total = total + finite(b[t] - self.top, t)
        tails.append(total)
    self.tails = tails[::-1]

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j."""
    del bits
    return self.tails[min(j, self.n)]

  @property
  def unit(self) -> arb:
    """What T_j is a multiple of."""
    return self.top.exp()

  @functools.cached_property
  def _exact(self) -> list | None:
    return rational_weight.weights(self.root, self.n)

  def decide(self, j: int, eps: Fraction) -> int:
    """1: T_j < eps B; -1: it is not; 0: not known, if exact sums differ in
    what is irrational in them."""
    if self._exact is None:
      return 0
    e, parts = ball.exact(eps), {}
    for t, (w, key) in enumerate(self._exact):
      parts[key] = parts.get(key, fmpq(0)) + (w - e * w if t >= j else -e * w)
    signs = {(x > 0) - (x < 0) for x in parts.values()} - {0}
    return 0 if len(signs) > 1 else 1 if signs == {-1} else -1


def length(root: Node) -> int | None:
  """An n from which on every weight is 0, if there is one that is small."""
  ops = {node.op for node in nodes(root)}
  if not ops & {'inf', 'log'}:
    return None
  for bits in (7, 12, 17):
    bound = tail_bound.beyond(root, arb(1 << bits), 0)
    if bound is not None:
      return 1 << bits if bound.high is None else None
  return None


def without_constant(root: Node) -> Node:
  """The log weight less a constant that all weights share."""
  if root.op != 'add':
    return root
  return Graph().total(list(zip(root.data[1], root.args, strict=True)))
