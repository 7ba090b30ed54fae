import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, *, slope: float = 0.0) -> base.RPE:
  r"""Stretched exponential: bias_h(t) = -sqrt(k_h t). Convergent, but far.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -sqrt(2)
  -1.4142
  """
  return base.scaled(
    H, lambda x: -jnp.sqrt(x), 'development history of arXiv 2307.10156', slope
  )
