"""What a heat is: a record of pure functions that scale a query's logits."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.params import Params, no_params, same


def one(inputs: Inputs, params: Params) -> Float[Array, '#B T 1']:
  """No heat: every logit as it is."""
  del params
  return per_token(jnp.ones_like(inputs.positions))


def log_keys(inputs: Inputs) -> Float[Array, '#B T 1']:
  """ln n_i of the n_i keys that query i sees, itself among them: i + 1, causal.

  A query with one key has weight 1 whatever its heat: it gets that of two
  keys, so that a heat of s ln n is never 0.
  """
  return jnp.log(per_token(jnp.maximum(inputs.keys, 2)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heat:
  """A scale for the logits of each query, an inverse temperature.

  Attributes:
    scale: `(inputs, params) -> [1 or B, T, 1 or H]` float32, > 0; s_i, a
      function of token i and of how many keys it sees.
    whole: whether, for all heads or per head, the bias is scaled as well,
      s_i (q_i.k_j / sqrt(K) + bias), not q.k alone,
      s_i q_i.k_j / sqrt(K) + bias.
    content: whether it reads the content of a token, so that queries which see
      as many keys may differ.
    rate: `params -> [1 or H]`, c >= 0 such that s_i - c ln i is bounded
      whatever the tokens (c = 0: s_i is); what theory needs. None: not known.
    init: `(key, D) -> params`, its learned part for a model of width D; a dict
      of arrays, empty when nothing is learned.
    constrain: `raw -> params`; raw values, which the optimiser moves, are free
      in R.
    unconstrain: `params -> raw`, its inverse.
    source: paper and equation.
    name: the name of the file that made it; set by `heat.get`.
  """

  scale: Callable[[Inputs, Params], Float[Array, '#B T #H']] = one
  whole: bool | tuple[bool, ...] = False
  content: bool = False
  init: Callable[[PRNGKeyArray, int], Params] = no_params
  constrain: Callable[[Params], Params] = same
  unconstrain: Callable[[Params], Params] = same
  rate: Callable[[Params], Float[Array, '#H']] | None = None
  source: str = ''
  name: str = ''

  @property
  def is_one(self) -> bool:
    """Whether no logit is scaled."""
    return self.scale is one

  @property
  def learned(self) -> bool:
    """Whether it has parameters that are trained."""
    return self.init is not no_params
