import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, exponent: float = 2.0, *, slope: float = 0.0) -> base.RPE:
  r"""Any power: bias_h(t) = -(k_h t)^exponent; ALiBi is 1, exp_sqrt is 1/2.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -2^2
  -4.0000
  """
  if not exponent > 0:
    raise ValueError(f'exponent = {exponent}: power needs an exponent > 0')
  return base.scaled(
    H,
    lambda x: -jnp.power(x, exponent),
    'development history of arXiv 2307.10156',
    slope,
  )
