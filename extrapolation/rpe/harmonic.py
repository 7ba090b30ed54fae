import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""Divergent control 1/n: bias_h(t) = -ln(1 + k_h t)."""
  return base.scaled(
    H,
    lambda x: -jnp.log1p(x),
    'Qin et al. 2024, control 1/n, arXiv 2307.10156',
  )
