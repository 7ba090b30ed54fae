import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, exponent: float = 1.0, *, slope: float = 0.0) -> base.RPE:
  r"""Divergent control 1/n: bias_h(t) = -exponent ln(1 + k_h t).

  The sum of weights is finite where exponent > 1: with 1.05 it has the far
  mass of the control, and converges.

  >>> bias = make(8).bias(jnp.arange(513), {})[-1]  # k = 2^-8
  >>> print(f'{bias[512]:.4f}')  # -ln(1 + 2)
  -1.0986
  """
  if not exponent > 0:
    raise ValueError(f'exponent = {exponent}: harmonic needs an exponent > 0')
  return base.scaled(
    H,
    lambda x: -exponent * jnp.log1p(x),
    'Qin et al. 2024, control 1/n, arXiv 2307.10156',
    slope,
  )
