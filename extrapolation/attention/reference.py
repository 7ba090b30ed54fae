"""The definition of attention under a bias of distance; dense, O(T^2)."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention.precision import FLOOR


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
  o, p, _ = attend_with_lse(q, k, v, bias)
  return o, p


def attend_with_lse(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
) -> tuple[Array, Array, Float[Array, 'B T H']]:
  """`attend`, and ln of the sum that the probabilities are divided by."""
  T, K = q.shape[1], q.shape[3]
  distance = jnp.arange(T)[:, None] - jnp.arange(T)[None, :]
  wide = jnp.result_type(q.dtype, bias.dtype, jnp.float32)
  logits = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  logits = logits / math.sqrt(K) + bias[:, jnp.abs(distance)]
  logits = jnp.where(distance >= 0, logits, -jnp.inf)
  top = jax.lax.stop_gradient(jnp.max(logits, -1, keepdims=True))
  top = jnp.where(top == -jnp.inf, 0, top)
  weights = jnp.exp(logits - top)
  total = jnp.sum(weights, -1, keepdims=True)
  some = total > 0
  p = weights / jnp.where(some, total, 1)
  o = jnp.einsum('bhts,bshk->bthk', p.astype(v.dtype), v)
  lse = jnp.where(some, top + jnp.log(jnp.where(some, total, 1)), FLOOR)
  return o, p, jnp.moveaxis(lse[..., 0], 1, 2)
