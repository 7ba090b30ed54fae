from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""ALiBi: a straight line, bias_h(t) = -k_h t.

  >>> import jax.numpy as jnp
  >>> make(8).bias(jnp.arange(3), {})[0]  # k = 2^-1
  Array([-0. , -0.5, -1. ], dtype=float32)
  """
  return base.scaled(H, lambda x: -x, 'Press et al. 2022, arXiv 2108.12409')
