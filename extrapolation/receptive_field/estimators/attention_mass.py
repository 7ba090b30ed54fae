"""Attention mass by distance, layer and head: the paper's empirical field.

n(eps) = min{ j : C_ij > (1 - eps) C_ii }, C_ij the weights that query i gives
its nearest j keys; here of the weights' mean over queries and windows.

Source: Qin et al. 2024, arXiv 2307.10156, section 4.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation import config
from extrapolation.attention import toeplitz
from extrapolation.model import Network
from extrapolation.receptive_field.estimators import last_queries
from extrapolation.receptive_field.estimators.forward_pass import (
  Estimator,
  ForwardPass,
)
from extrapolation.receptive_field.estimators.settings import Settings

FORMULA = '2 N D Q n'


def make(network: Network, settings: Settings) -> Estimator:
  """Leaves `attention_mass` [B, N, H, n], of sum 1 per head."""
  del network
  Q = settings.Q

  def run(
    params: dict, bias: Any, batch: Array, reference: ForwardPass
  ) -> dict[str, Array]:
    del params, bias, batch
    mass = [
      by_distance(last_queries.probabilities(q[:, -Q:], k, b))
      for q, k, b in zip(reference.q, reference.k, reference.bias, strict=True)
    ]
    return dict(attention_mass=jnp.stack(mass, axis=1))

  return run


def by_distance(p: Float[Array, '*B Q n']) -> Float[Array, '*B n']:
  """Mean weight at each distance of the last Q queries."""
  Q, n = p.shape[-2:]
  return jnp.flip(toeplitz.unskew(p)[..., :n], -1) / Q


def flops(sizes: config.Network, V: int, settings: Settings) -> int:
  del V
  return 2 * sizes.N * sizes.D * settings.Q * settings.length
