import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.rpe import base


def make(H: int, exponent: float = 2.0, *, slope: float = 0.0) -> base.RPE:
  r"""Bertrand series 1/(n ln^p n): bias = -(z + p ln z), z = ln(3 + k_h t).

  p = exponent. The sum of weights is finite where p > 1, and falls more slowly
  than that of any power n^-q with q > 1; log_harmonic has p = 1.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -ln(5 ln(5)^2)
  -2.5612
  """
  if not exponent > 0:
    raise ValueError(f'exponent = {exponent}: bertrand needs an exponent > 0')

  def log_weight(x: Float[Array, 'H d']):
    z = jnp.log(3 + x)
    return -(z + exponent * jnp.log(z))

  return base.scaled(
    H, log_weight, 'Bertrand series, after log_harmonic', slope
  )
