"""Attention mass by distance, layer and head: the paper's empirical field.

n(eps) = min{ j : C_ij > (1 - eps) C_ii }, C_ij the weights that query i gives
its nearest j keys; here of the weights' mean over queries and windows.

Source: Qin et al. 2024, arXiv 2307.10156, section 4.
"""

import jax.numpy as jnp

from extrapolation.attention import toeplitz
from extrapolation.receptive_field import rows

FORMULA = '2 N D Q n'


def make(m, s):
  """`(params, batch, reference, tables) -> [B, N, H, n]`, each head's sum 1."""
  del m

  def run(params, batch, reference, tables):
    del params, batch
    return dict(attention_mass=jnp.stack(
      [
        by_distance(rows.probabilities(q[:, -s.Q :], k, table))
        for q, k, table in zip(reference.q, reference.k, tables, strict=True)
      ], axis=1,
    ))  # fmt: skip

  return run


def by_distance(p):
  """Mean weight at each distance of the last queries, [.., Q, n] -> [.., n]."""
  Q, n = p.shape[-2:]
  return jnp.flip(toeplitz.unskew(p)[..., :n], -1) / Q


def flops(c, V, s):
  del V
  return 2 * c.N * c.D * s.Q * s.length
