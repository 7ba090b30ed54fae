"""One tile of an online softmax, and of its gradient, whatever its logits."""
# ruff: noqa: E741  (l is the field's name)

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from extrapolation.attention.precision import dot


def absorb(
  state: tuple,
  s: Array,
  v: Array,
  softmax: Bool[np.ndarray, 'h 1 1'] | None = None,
) -> tuple:
  """(m, l, acc) with the logits s [h, r, s] of the keys of v [h, s, K] too.

  Where `softmax` [h, 1, 1] is False no sum divides exp(s): m stays 0.
  """
  m, l, acc = state
  m_new = jnp.maximum(m, jnp.max(s, -1, keepdims=True))
  if softmax is not None:
    m_new = jnp.where(softmax, m_new, 0)
  p, shrink = jnp.exp(s - m_new), jnp.exp(m - m_new)
  l = l * shrink + jnp.sum(p, -1, keepdims=True)
  acc = acc * shrink + dot('hrs,hsk->hrk', p.astype(v.dtype), v)
  return m_new, l, acc


def pull(s: Array, query: tuple, key: tuple, grads: tuple) -> tuple:
  """(dq, dk, dv) with what one tile adds, and dS; keys are the rows.

  With P^T and dS^T at hand no product needs a transposed operand of the size
  of the scores.

  Args:
    s: logits [h, s, r].
    query: q, g [h, r, K], lse, delta [h, 1, r] of its queries.
    key: k^T [h, K, s], v [h, s, K] of its keys.
    grads: dq^T [h, K, r], dk, dv [h, s, K] so far.
  """
  q, g, lse, delta = query
  kT, v = key
  dq, dk, dv = grads
  p = jnp.exp(s - lse)
  dp = dot('hsk,hrk->hsr', v, g)
  ds = p * (dp - delta)
  p, low = p.astype(v.dtype), ds.astype(q.dtype)
  dv = dv + dot('hsr,hrk->hsk', p, g)
  dk = dk + dot('hsr,hrk->hsk', low, q)
  dq = dq + dot('hks,hsr->hkr', kT, low)
  return (dq, dk, dv), ds


def at(x: Array, i: ArrayLike) -> Array:
  """x[i]."""
  return lax.dynamic_index_in_dim(x, i, keepdims=False)


def written(state: tuple, new: tuple, i: ArrayLike) -> tuple:
  """The arrays of state, each with its new x[i]."""
  return tuple(
    lax.dynamic_update_index_in_dim(x, y, i, 0)
    for x, y in zip(state, new, strict=True)
  )
