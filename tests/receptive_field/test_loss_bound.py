"""Bounds beside what is measured: of the loss, and of the share of far keys."""

import jax
import numpy as np
import pytest

from extrapolation.attention import reference
from extrapolation.receptive_field import predicted, window_check
from extrapolation.receptive_field.estimators import last_queries
from tests.receptive_field import small

N = 48


def rows(name, scale, widths, **kw):
  m, params = small.make(name, **kw)
  for layer in params['layers'].values():
    layer['out']['kernel'] *= scale
    layer['qkv']['kernel'] *= 0.3
    layer['down']['kernel'] *= scale
  return window_check.check(m, params, small.batch(N, windows=3), widths)


@pytest.mark.parametrize(
  'name',
  [
    'kerple_log',
    *(pytest.param(n, marks=pytest.mark.slow) for n in ('harmonic', 'alibi')),
  ],
)
def test_the_loss_moves_by_no_more_than_the_bound(name):
  """Where attention adds little to the residual stream it says something."""
  found = rows(name, 1e-3, [4, 16, 40])
  for row in found:
    assert 0 < row['nats_max'] <= row['nats_bound'] < 1
  bounds = [row['nats_bound'] for row in found]
  assert bounds == sorted(bounds, reverse=True)


def test_a_bound_that_says_nothing_is_none():
  assert [r['nats_bound'] for r in rows('harmonic', 30.0, [1])] == [None]


def test_a_window_that_drops_nothing_changes_nothing():
  (row,) = rows('window', 1.0, [20], rpe_args=dict(width=20))
  assert row['bound'] == row['nats_bound'] == row['nats_max'] == 0


def test_the_span_of_logits_is_that_of_the_keys_seen():
  q, k = jax.random.normal(jax.random.key(0), (2, 1, 9, 2, 4))
  span = last_queries.oscillation(q[:, -3:], k)
  z = np.einsum('bthk,bshk->bhts', q, k) / 2
  want = [max(np.ptp(z[0, h, i, : i + 1]) for i in (6, 7, 8)) for h in range(2)]
  np.testing.assert_allclose(span[0], want, rtol=1e-5)


@pytest.mark.parametrize('L', [1, 5, 9])
def test_the_share_of_far_keys_lies_within_the_interval(L):
  """Of adversarial attentions and others, mean over the last queries; one
  without content is at F itself."""
  Q, n = 4, 10
  rng = np.random.default_rng(L)
  bias = -rng.uniform(0.1, 1, (1, 2, 1)) * np.arange(n)
  for kind in range(30):
    q, k, v = rng.normal(size=(3, 1, n, 2, 3)).astype(np.float32)
    if kind == 0:
      q *= 0
    if kind == 1:  # far keys of the last query at the top
      k[:], k[:, n - L :], q[:] = 1, -1, 1
    p = np.asarray(reference.attend(q, k, v, np.float32(bias[0]))[1])[0]
    t = np.arange(n)[:, None] - np.arange(n)
    share = np.where(t >= L, p, 0).sum(-1)[:, -Q:].mean(-1)
    osc = np.asarray(last_queries.oscillation(q[:, -Q:], k))
    low, high = predicted.far_between(bias, L, Q, osc)[0].T
    assert np.all(low <= share * (1 + 1e-5) + 1e-9)
    assert np.all(share <= high * (1 + 1e-5) + 1e-9)
    if kind == 0:
      np.testing.assert_allclose(low, share, rtol=1e-5)
      np.testing.assert_allclose(high, share, rtol=1e-5)
