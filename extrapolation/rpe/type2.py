import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""Type 2: bias_h(t) = -ln^2(3 + k_h t), faster than any power."""
  return base.scaled(
    H,
    lambda x: -(jnp.log(3 + x) ** 2),
    'Qin et al. 2024, Type 2, arXiv 2307.10156',
  )
