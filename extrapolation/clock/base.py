"""What a clock is: a record of pure functions that give tokens positions.

The sum of increments is a position; float32 holds the increments to the last
digit at any length, and a sum of 10^5 only to 0.008. So a clock gives
increments, and attention sums what lies between a query and a key.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.normed import Normed
from extrapolation.parts.params import Params, no_params, same


def index(inputs: Inputs, params: Params) -> Float[Array, '#B T 1']:
  """Each token is 1 after the one before; a document begins at 0."""
  del params
  return per_token(inputs.positions > 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clock:
  """A position for each token: distance of query i and key j is p_i - p_j.

  Attributes:
    increments: `(inputs, params) -> [1 or B, T, 1 or H]` float32, >= 0; how far
      token i lies after token i - 1, so that p_i - p_j is their sum over
      j + 1 .. i. A function of token i and of what comes before it.
    init: `(key, D) -> params`, its learned part for a model of width D; a dict
      of arrays, empty when nothing is learned.
    constrain: `raw -> params`; raw values, which the optimiser moves, are free
      in R.
    unconstrain: `params -> raw`, its inverse.
    pace: `(params, normed) -> (low, high)`, [1 or H] each: low (i - j) <=
      p_i - p_j <= high (i - j) whatever the tokens, outside training; what
      theory needs. `normed` is None where nothing is known of the content, low
      0 and high infinite then if they depend on it. None: not known.
    positive: whether each increment is > 0 and continuous in the content of
      its token alone, which a norm bounds: then low > 0 for all weights.
    stationary: of what text increments are stationary and ergodic with a mean
      in (0, inf), in words; '' where that is not known.
    source: paper and equation.
    name: the name of the file that made it; set by `clock.get`.
  """

  increments: Callable[[Inputs, Params], Float[Array, '#B T #H']] = index
  init: Callable[[PRNGKeyArray, int], Params] = no_params
  constrain: Callable[[Params], Params] = same
  unconstrain: Callable[[Params], Params] = same
  pace: Callable[[Params, Normed | None], tuple[Array, Array]] | None = None
  positive: bool = False
  stationary: str = ''
  source: str = ''
  name: str = ''

  @property
  def is_index(self) -> bool:
    """Whether positions are the index, so that distance is i - j."""
    return self.increments is index

  @property
  def learned(self) -> bool:
    """Whether it has parameters that are trained."""
    return self.init is not no_params

  def positions(
    self, inputs: Inputs, params: Params
  ) -> Float[Array, '#B T #H']:
    """p [1 or B, T, 1 or H]: the sum of increments within each document.

    For what reads a position itself (rotations, absolute encodings). Exact
    where increments are whole numbers, as far as float32 goes (2^24).
    """
    return sums(self.increments(inputs, params), inputs.positions)


def sums(
  increments: Float[Array, 'B T H'], positions: Integer[Array, '*#B T']
) -> Float[Array, 'B2 T H']:
  """Cumulative sums that begin anew where `positions` are 0.

  >>> sums(jnp.ones((1, 4, 1)), jnp.array([0, 1, 0, 1]))[0, :, 0]
  Array([1., 2., 1., 2.], dtype=float32)
  """
  begins = per_token(positions == 0) > 0
  increments, begins = jnp.broadcast_arrays(increments, begins)
  total = jnp.cumsum(increments, axis=1)
  before = jnp.where(begins, total - increments, 0)
  return total - jax.lax.cummax(before, axis=1)
