"""The definition of attention under a bias of distance; dense, O(T^2)."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B H T T']]:
  r"""Causal softmax attention, and its probabilities.

  o_i = sum_{j <= i} p_ij v_j,  p_ij ~ exp(q_i . k_j / sqrt(K) + bias[i - j]).

  Softmax and bias are float32 or wider whatever the dtype of q, k, v; the
  output has the dtype of v. `bias` holds one value per distance, n >= T; a
  query all of whose keys are at -inf gives 0.
  """
  T, K = q.shape[1], q.shape[3]
  distance = jnp.arange(T)[:, None] - jnp.arange(T)[None, :]
  wide = jnp.result_type(q.dtype, bias.dtype, jnp.float32)
  logits = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  logits = logits / math.sqrt(K) + bias[:, jnp.abs(distance)]
  logits = jnp.where(distance >= 0, logits, -jnp.inf)
  top = jax.lax.stop_gradient(jnp.max(logits, -1, keepdims=True))
  weights = jnp.exp(logits - jnp.where(top == -jnp.inf, 0, top))
  total = jnp.sum(weights, -1, keepdims=True)
  p = weights / jnp.where(total == 0, 1, total)
  o = jnp.einsum('bhts,bshk->bthk', p.astype(v.dtype), v)
  return o, p
