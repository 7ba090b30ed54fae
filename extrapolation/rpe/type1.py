import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, *, slope: float = 0.0) -> base.RPE:
  r"""Type 1: bias_h(t) = -ln(1 + (k_h t)^2), weights that fall like 1/t^2.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -ln(1 + 2^2)
  -1.6094
  """
  return base.scaled(
    H,
    lambda x: -jnp.log1p(x * x),
    'Qin et al. 2024, Type 1, arXiv 2307.10156',
    slope,
  )
