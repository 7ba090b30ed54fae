import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, exponent: float = 1.5, *, slope: float = 0.0) -> base.RPE:
  r"""Power of a logarithm: bias_h(t) = -ln^p(3 + k_h t), p = exponent.

  Weights fall faster than any n^-q and slower than any exp(-n^q) where p > 1;
  type2 has p = 2, and 1 / (3 + k_h t), with p = 1, has no finite sum.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -ln(5)^1.5
  -2.0418
  """
  if not exponent > 0:
    raise ValueError(f'exponent = {exponent}: log_power needs an exponent > 0')
  return base.scaled(
    H,
    lambda x: -jnp.power(jnp.log(3 + x), exponent),
    'after Qin et al. 2024, Type 2, arXiv 2307.10156',
    slope,
  )
