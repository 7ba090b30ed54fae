import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.rpe import base


def make(H: int, *, slope: float = 0.0) -> base.RPE:
  r"""Divergent control 1/(n ln n): bias = -(z + ln z), z = ln(3 + k_h t)."""

  def log_weight(x: Float[Array, 'H d']):
    z = jnp.log(3 + x)
    return -(z + jnp.log(z))

  return base.scaled(
    H,
    log_weight,
    'Qin et al. 2024, control 1/(n ln n), arXiv 2307.10156',
    slope,
  )
