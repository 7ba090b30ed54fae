"""Sums of n(t) e^b(t) over finitely many distances with n(t) keys at each."""

import math

import numpy as np
from flint import arb
from jaxtyping import Float, Int

from extrapolation.theory.enclosures import finite_sum
from extrapolation.theory.errors import NotProved, UndefinedTotal
from extrapolation.theory.expression.float_intervals import UNIT
from extrapolation.theory.expression.graph import Node


class CountedSums:
  """Enclosures of them, in units of the largest weight.

  Args:
    root: the log weight.
    t: the distances, in order; they need not be whole.
    keys: how many lie at each.
    error: relative, of the distances that are not whole.

  Raises:
    UndefinedTotal: an infinite or undefined weight, or all of them 0.
    NotProved: too many weights that float64 does not settle.
  """

  def __init__(
    self,
    root: Node,
    t: Float[np.ndarray, ' d'],
    keys: Int[np.ndarray, ' d'],
    error: float = 0.0,
  ):
    low, high = finite_sum.log_weights(root, t, error)
    top = np.max(high)
    if top == -np.inf:
      raise UndefinedTotal(
        'every weight is 0: there is no total to take a share of'
      )
    self.top, self.t, self.keys = float(top), t, keys
    self.low = finite_sum.weights(low, top, -1)
    self.high = finite_sum.weights(high, top, 1)
    if not self(keys) > 0:
      raise NotProved(f'the weights of {len(t)} distances were not enclosed')

  def __call__(self, keys: Int[np.ndarray, ' d']) -> arb:
    """Encloses the sum over so many keys at each distance."""
    low = math.fsum(self.low * keys) * (1 - 4 * UNIT)  # fsum rounds once
    high = math.fsum(self.high * keys) * (1 + 4 * UNIT)
    return arb(low).union(arb(high))

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j, the sum over distances of at least j."""
    del bits
    return self(np.where(self.t >= j, self.keys, 0))

  @property
  def unit(self) -> arb:
    """The weight that sums are multiples of."""
    return arb(self.top).exp()
