import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, *, slope: float = 0.0) -> base.RPE:
  r"""Type 2: bias_h(t) = -ln^2(3 + k_h t), faster than any power.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -ln(3 + 2)^2
  -2.5903
  """
  return base.scaled(
    H,
    lambda x: -(jnp.log(3 + x) ** 2),
    'Qin et al. 2024, Type 2, arXiv 2307.10156',
    slope,
  )
