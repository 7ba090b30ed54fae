import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.parts.score import Score, Tile
from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""Stick-breaking: A_ij = s(z_ij) prod_{j < l < i} (1 - s(z_il)), no softmax.

  s is the sigmoid and z = q.k / sqrt(K): from the newest key on, each breaks
  its share off what is left of a stick of length 1. The query's own token takes
  none, and what is left at the first key goes to no value.
  """

  def step(tile: Tile, params: base.Params) -> Float[Array, 'H r s']:
    del params  # -ln(1 - s(z))
    return jnp.where(tile.between > 0, jax.nn.softplus(tile.z), 0)

  def logit(tile: Tile, params: base.Params) -> Float[Array, 'H r s']:
    del params  # ln s(z) = z - softplus(z), the last of the steps passed
    return jnp.where(tile.between > 0, tile.z - tile.passed, -jnp.inf)

  return base.RPE(
    bias=base.no_bias(H),
    score=Score(
      logit=logit,
      step=step,
      softmax=False,
      decay=lambda M: math.log1p(math.exp(-M)),
    ),
    source='Tan et al. 2025, Stick-breaking Attention, arXiv 2410.17980',
  )
