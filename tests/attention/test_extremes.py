"""What has left a ring is bounded by its extremes."""

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation.attention.extremes import Extremes
from extrapolation.attention.window_bound import norm

n, t, K = 50, 20, 4


def left(seed, scale=1.0):
  k, v, q = jax.random.normal(jax.random.key(seed), (3, n, t, K)) * scale
  return k, v, q[:, 0]


def test_no_logit_of_a_key_that_left_is_larger():
  k, v, q = left(0)
  kept = Extremes.none(n, K).including(k[:, :7], v[:, :7])
  kept = kept.including(k[:, 7:], v[:, 7:])
  z = jnp.einsum('nk,ntk->nt', q, k) / K**0.5
  assert jnp.all(z.max(1) <= kept.most(q) + 1e-6)
  assert jnp.all(kept.most(q) <= kept.by_norm(q))
  assert jnp.any(kept.most(q) < 0.95 * kept.by_norm(q))  # the box helps
  one = Extremes.none(n, K).including(k[:, :1], v[:, :1])
  np.testing.assert_allclose(one.most(q), z[:, 0], atol=1e-6)  # and is exact


def test_when_nothing_has_left_nothing_is_lost():
  k, v, q = left(1)
  none = Extremes.none(n, K).including(k, v, when=False).with_values(v)
  zero = jnp.zeros(n)
  np.testing.assert_array_equal(none.seen(q, q, zero, zero).error, 0)
  np.testing.assert_allclose(none.v_norm, norm(v).max(1))


def test_the_error_is_bounded_and_met():
  """Of all keys: near ones in the ring, far ones that left."""
  k, v, q = left(2)
  b = jnp.linspace(0, -2, t)
  a = jnp.exp(jnp.einsum('nk,ntk->nt', q, k) / K**0.5 + b)
  w = 6
  o = jnp.einsum('nt,ntk->nk', a, v) / a.sum(1, keepdims=True)
  near = a[:, :w].sum(1)
  cut = jnp.einsum('nt,ntk->nk', a[:, :w], v[:, :w]) / near[:, None]
  kept = Extremes.none(n, K).including(k[:, w:], v[:, w:])
  tail = jnp.full(n, jax.nn.logsumexp(b[w:]))
  error = kept.seen(q, cut, jnp.log(near), tail).error
  assert jnp.all(norm(o - cut) <= error + 1e-6)
  # one key that left is known exactly, and so is what it changes
  a, v = a[:, : w + 1], v[:, : w + 1]
  o = jnp.einsum('nt,ntk->nk', a, v) / a.sum(1, keepdims=True)
  kept = Extremes.none(n, K).including(k[:, w : w + 1], v[:, w:])
  error = kept.seen(q, cut, jnp.log(near), jnp.full(n, b[w])).error
  np.testing.assert_allclose(norm(o - cut), error, atol=1e-5)
