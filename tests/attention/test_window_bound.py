"""Balls around keys and values, and the bounds that they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention
from extrapolation.attention import window_bound


@pytest.mark.parametrize('shift', [0.0, 4.0])
def test_a_ball_holds_all_and_is_near_the_smallest(shift):
  """Corners of a cube: the smallest ball is that around its middle."""
  corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
  inside = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
  x = np.concatenate([corners, inside])[:, None] + shift  # [s, 1 head, 3]
  centre, radius = window_bound.ball(jnp.asarray(x, jnp.float32))
  away = np.linalg.norm(x - np.asarray(centre), axis=-1)
  assert away.max() <= float(radius[0, 0]) * (1 + 1e-6)
  assert 3**0.5 * (1 - 1e-6) <= float(radius[0, 0]) <= 1.15 * 3**0.5
  assert float(radius[0, 0]) <= np.linalg.norm(x, axis=-1).max() * (1 + 1e-6)


def test_bounds_of_logits_hold_and_see_what_keys_share():
  a, b = jax.random.split(jax.random.key(0))
  q, k = (jax.random.normal(x, (2, 40, 3, 8)) for x in (a, b))
  for shift in (0.0, 3.0):
    z = jnp.einsum('bthk,bshk->bths', q, k + shift) / jnp.sqrt(8.0)
    m = window_bound.query_bound(q, k + shift)
    osc = window_bound.oscillation_bound(q, k + shift)
    assert jnp.all(z.max(-1) <= m + 1e-5)
    assert jnp.all(z.max(-1) - z.min(-1) <= osc + 1e-5)
    largest = window_bound.logit_bound(q, k + shift)
    assert jnp.all(jnp.abs(z).max((1, 3)) <= largest + 1e-5)
  assert jnp.all(osc.max(1) < largest)  # 2 M would be twice the second


def test_a_norm_has_a_gradient_at_zero():
  x = jnp.asarray([[3.0, 4.0], [0.0, 0.0]])
  grad = jax.grad(lambda x: window_bound.norm(x).sum())(x)
  np.testing.assert_allclose(grad, [[0.6, 0.8], [0, 0]], atol=1e-6)


def worst_case(T: int, windows: tuple[int, ...]) -> tuple:
  """Operands for which the bounds are equalities, at the last query.

  Its keys beyond the window have the largest logit there is, those within the
  least, and values are at opposite ends of a ball.
  """
  a = jnp.asarray([2.0, 0.0, 0.0, 1.0])
  e = jnp.asarray([0.0, 3.0, -4.0, 0.0])
  beyond = jnp.arange(T - 1, -1, -1)[:, None] >= jnp.asarray(windows)
  side = jnp.where(beyond, 1.0, -1.0)[None, :, :, None]
  q = jnp.broadcast_to(a, (1, T, len(windows), 4))
  bias = -0.05 * jnp.arange(T) * jnp.asarray([[1.0], [2.0]])
  return q, side * a, side * e, bias


def test_bounds_are_attained_where_theory_says_so():
  """Theorems 1 and 2, equality cases: no smaller bound would hold."""
  T, windows, z = 24, (5, 9), 2.5  # z = a.a / sqrt(4)
  q, k, v, bias = worst_case(T, windows)
  whole = attention.attend(q, k, v, bias)
  o, lse = attention.attend_with_lse(q, k, v, bias, window=windows)
  osc = window_bound.oscillation_bound(q, k)[0, -1]
  m = window_bound.query_bound(q, k)[0, -1]
  np.testing.assert_allclose(osc, 2 * z, rtol=1e-6)
  np.testing.assert_allclose(m, z, rtol=1e-6)
  e = np.exp(np.asarray(bias, float))
  tail = np.asarray([row[w:].sum() for row, w in zip(e, windows, strict=True)])
  near = e.sum(-1) - tail
  share = tail * np.exp(z) / (tail * np.exp(z) + near * np.exp(-z))
  before = window_bound.dropped(np.log(tail), np.log(near), osc)
  after = window_bound.dropped_seen(np.log(tail), lse[0, -1], m)
  np.testing.assert_allclose(before, share, rtol=1e-5)
  np.testing.assert_allclose(after, share, rtol=1e-5)
  m, radius = window_bound.query_bound(q, k), window_bound.ball(v)[1]
  bound = window_bound.moved(lse, m, radius, jnp.log(tail), windows)
  apart = window_bound.norm(whole - o)
  np.testing.assert_allclose(bound[0, -1], apart[0, -1], rtol=1e-5)
  assert jnp.all(apart <= bound * (1 + 1e-5))
