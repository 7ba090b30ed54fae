"""Attention rollout: the last query's row of prod_l (I + mean_h A_l) / 2.

Source: Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers,
arXiv 2005.00928.
"""

import jax.numpy as jnp

from extrapolation.receptive_field import rows

FORMULA = '(N-1) (2D + 2H) n(n+1)/2 + 2 D n'


def make(m, s):
  """`(params, batch, reference, tables) -> [B, n]`, each window's sum 1."""
  del m, s

  def run(params, batch, reference, tables):
    del params, batch
    layers = list(zip(reference.q, reference.k, tables, strict=True))
    q, k, table = layers[-1]
    row = rows.probabilities(q[:, -1:], k, table).mean(1)[:, 0]
    r = row / 2 + jnp.zeros_like(row).at[:, -1].set(0.5)
    for q, k, table in reversed(layers[:-1]):
      r = (r + rows.pull(r, q, k, table)) / 2
    return dict(rollout=jnp.flip(r, 1))

  return run


def flops(c, V, s):
  del V
  n = s.length
  return (c.N - 1) * (c.D + c.H) * n * (n + 1) + 2 * c.D * n
