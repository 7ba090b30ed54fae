"""The two bounds of window.py on arrays, for a model that is running."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Numbers = Array | np.ndarray
Number = float | int | Numbers | np.number


def dropped(
  log_tail: Float[Numbers, '...'], log_near: Float[Numbers, '...'], M: Number
) -> Float[Array, '...']:
  """The a-priori bound of p, from ln T_w, ln B_w and the logit bound M.

  Arrays that broadcast; float32, so below 1e-38 it is 0.
  """
  return jax.nn.sigmoid(2 * M + log_tail - log_near)


def dropped_seen(
  log_tail: Float[Numbers, '...'], log_seen: Float[Numbers, '...'], m: Number
) -> Float[Array, '...']:
  """The data-dependent bound of p.

  Args:
    log_tail: ln T_w.
    log_seen: log-sum-exp of logit + bias over the w nearest keys.
    m: upper bound of this query's logits, such as ||q|| max ||k|| / sqrt K.
  """
  return jax.nn.sigmoid(m + log_tail - log_seen)


def query_bound(
  q: Float[Array, '*batch t h k'], k: Float[Array, '*batch s h k']
) -> Float[Array, '*batch t h']:
  """m of each query by Cauchy-Schwarz: ||q|| max ||k|| / sqrt K."""
  width = q.shape[-1]
  q, k = (jnp.linalg.norm(x.astype(jnp.float32), axis=-1) for x in (q, k))
  return q * k.max(-2, keepdims=True) / math.sqrt(width)


def logit_bound(
  q: Float[Array, '*batch t h k'], k: Float[Array, '*batch s h k']
) -> Float[Array, '*batch h']:
  """M of each head: the largest `query_bound`."""
  return query_bound(q, k).max(-2)
