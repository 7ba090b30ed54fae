import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""Stretched exponential: bias_h(t) = -sqrt(k_h t). Convergent, but far."""
  return base.scaled(
    H, lambda x: -jnp.sqrt(x), 'development history of arXiv 2307.10156'
  )
