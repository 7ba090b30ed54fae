"""The definition of attention over places; dense, O(T S)."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from extrapolation.attention import reference
from extrapolation.attention.places_bias import Tile


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B S H K'],
  v: Float[Array, 'B S H K'],
  bias: Any,
  hidden: Bool[Array, 'B S'] | None,
  queries: Integer[Array | np.ndarray, 'T c'],
  keys: Integer[Array | np.ndarray, 'S c'],
  tile: Tile,
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B H T S']]:
  r"""Softmax attention over all keys that a query sees, and its weights.

  o_i = sum_j p_ij v_j,  p_ij ~ exp(q_i . k_j / sqrt(K) + bias(t_ij)), t_ij the
  distance of the places of i and j; a query that sees no key gives 0.

  Softmax and bias are float32 or wider; the output has the dtype of v.
  """
  added = tile(bias, jnp.asarray(queries)[:, None], jnp.asarray(keys)[None])
  wide = jnp.result_type(q.dtype, added.dtype, jnp.float32)
  s = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  s = s / math.sqrt(q.shape[3]) + added
  if hidden is not None:
    s = jnp.where(hidden[:, None, None], -jnp.inf, s)
  p, _ = reference.weights(s, np.ones((q.shape[2], 1, 1), bool))
  return jnp.einsum('bhts,bshk->bthk', p.astype(v.dtype), v), p
