import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.rpe import base


def make(H: int, *, slope: float = 0.0) -> base.RPE:
  r"""ln n / n^2: bias_h(t) = ln(1 + ln(1 + x)) - 2 ln(1 + x), x = k_h t."""

  def log_weight(x: Float[Array, 'H d']):
    z = jnp.log1p(x)
    return jnp.log1p(z) - 2 * z

  return base.scaled(
    H, log_weight, 'development history of arXiv 2307.10156', slope
  )
