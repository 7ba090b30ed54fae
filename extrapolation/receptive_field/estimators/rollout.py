"""Attention rollout: the last query's row of prod_l (I + mean_h A_l) / 2.

Source: Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers,
arXiv 2005.00928.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from extrapolation import config
from extrapolation.model import Network
from extrapolation.receptive_field.estimators import last_queries
from extrapolation.receptive_field.estimators.forward_pass import (
  Estimator,
  ForwardPass,
)
from extrapolation.receptive_field.estimators.settings import Settings

FORMULA = '(N-1) (2D + 2H) n(n+1)/2 + 2 D n'


def make(network: Network, settings: Settings) -> Estimator:
  """Leaves `rollout` [B, n], of sum 1 per window."""
  del network, settings

  def run(
    params: dict, bias: Any, batch: Array, reference: ForwardPass
  ) -> dict[str, Array]:
    del params, bias, batch
    layers = list(zip(reference.q, reference.k, reference.bias, strict=True))
    q, k, b = layers[-1]
    row = last_queries.probabilities(q[:, -1:], k, b).mean(1)[:, 0]
    r = row / 2 + jnp.zeros_like(row).at[:, -1].set(0.5)
    for q, k, b in reversed(layers[:-1]):
      r = (r + last_queries.row_times(r, q, k, b)) / 2
    return dict(rollout=jnp.flip(r, 1))

  return run


def flops(sizes: config.Network, V: int, settings: Settings) -> int:
  del V
  n = settings.length
  return (sizes.N - 1) * (sizes.D + sizes.H) * n * (n + 1) + 2 * sizes.D * n
