"""The error bounds of dropping everything beyond a window."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe, theory
from extrapolation.attention import window_bound
from extrapolation.theory.certified_window import allowed, certified

KEY = jax.random.key(0)


def instances(rng, count, n, K=4):
  """Random attention of one query: logits, values, and biases of many kinds."""
  scale = rng.uniform(0, 3, (count, 1))
  logits = scale * rng.uniform(-1, 1, (count, n))
  sharp = rng.random((count, 1)) < 0.3  # adversarial: far keys get the most
  logits = np.where(
    sharp, scale * np.where(np.arange(n) > n // 2, 1, -1), logits
  )
  v = rng.normal(size=(count, n, K))
  t = np.arange(n)
  rate = rng.uniform(0.02, 2, (count, 1))
  kinds = np.stack(
    [
      -rate * t,
      -rate * np.sqrt(t),
      -2 * rate * np.log1p(t),
      -rate * np.log1p(t),
    ]
  )
  b = kinds[rng.integers(0, 4, count), np.arange(count)]
  return logits, v, b


def test_bounds_hold_on_ten_thousand_instances():
  """p <= both bounds, and ||o - o_w|| <= 2 max||v|| p, at every instance."""
  rng = np.random.default_rng(0)
  count, n = 10_000, 64
  logits, v, b = instances(rng, count, n)
  w = rng.integers(1, n, count)
  near = np.arange(n) < w[:, None]
  a = np.exp(logits + b)
  o = (a[..., None] * v).sum(1) / a.sum(1)[:, None]
  kept = a * near
  o_w = (kept[..., None] * v).sum(1) / kept.sum(1)[:, None]
  error = np.linalg.norm(o - o_w, axis=-1)
  size = np.linalg.norm(v, axis=-1).max(-1)

  M = np.abs(logits).max(-1)
  e = np.exp(b)
  with np.errstate(divide='ignore'):
    log_tail = np.log((e * ~near).sum(-1))
  log_near = np.log((e * near).sum(-1))
  p = (a * ~near).sum(-1) / a.sum(-1)
  prior = window_bound.dropped(log_tail, log_near, 2 * M)
  prior = np.asarray(prior, np.float64)
  seen = np.asarray(
    window_bound.dropped_seen(log_tail, np.log(kept.sum(-1)), logits.max(-1)),
    np.float64,
  )
  slack = 1 + 1e-4  # the bounds are float32: ln p to 1e-6 of itself ...
  assert np.all(p <= seen * slack + 1e-37)  # .. and 0 below its range
  assert np.all(seen <= prior * slack + 1e-37)
  assert np.all(error <= 2 * size * prior * slack + 1e-12)
  assert np.all(error <= 2 * size * seen * slack + 1e-12)
  # attained by the adversarial ones
  assert np.divide(p, prior, out=np.zeros(count), where=prior > 0).max() > 0.9


@pytest.mark.parametrize('name', ['alibi', 'type1', 'kerple_power', 'window'])
def test_certified_window_keeps_its_promise(name):
  """Worst-case logits (+M far, -M near) and values stay within the error."""
  H, M, error, n = 4, 1.5, 0.05, 40_000
  encoding = rpe.get(name, H)
  params = encoding.init(KEY)
  b = np.asarray(encoding.bias(jnp.arange(n), params), np.float64)
  windows = certified(encoding, params, error=error, M=M)
  for row, w in zip(b, windows, strict=True):
    if w is None or w >= n:
      continue
    far = np.arange(n) >= w
    a = np.exp(row + np.where(far, M, -M))
    p = (a * far).sum() / a.sum()
    assert 2 * p <= error
    if w > 1:  # and one key less would not be certified
      e, far = np.exp(row), np.arange(n) >= w - 1
      x = np.exp(2 * M) * (e * far).sum() / (e * ~far).sum()
      assert name != 'alibi' or 2 * x / (1 + x) > error


def test_smallest_window_of_alibi_in_closed_form():
  """T_w / B = e^{-m w} < share: w = floor(ln(1/share) / m) + 1."""
  error, M = 1e-3, 2.0
  share = float(allowed(error, M, 1.0))
  expected = [int(np.log(1 / share) * 2**h) + 1 for h in range(1, 9)]
  assert theory.window(rpe.get('alibi', 8), error=error, M=M) == expected


def test_a_divergent_encoding_has_no_window_but_below_a_horizon():
  for name in ('none', 'harmonic', 'sandwich'):
    assert certified(rpe.get(name, 2), error=0.1, M=1.0) == [None, None]
  near = certified(rpe.get('sandwich', 8), error=0.1, M=1.0, horizon=4096)
  assert all(1 <= w <= 4096 for w in near)
  assert near == sorted(near) and near[0] < 100


def test_a_window_needs_no_more_than_its_width():
  assert certified(rpe.get('window', 1, width=37), error=1e-9, M=5.0) == [37]


def test_every_head_may_have_its_own_logits():
  encoding = rpe.get('alibi', 2)
  both = certified(encoding, error=0.1, M=[1.0, 2.0])
  one = [certified(encoding, error=0.1, M=M)[i] for i, M in enumerate((1, 2))]
  assert both == one
  with pytest.raises(ValueError, match='3 values of M for 2 heads'):
    certified(encoding, error=0.1, M=[1, 2, 3])


def test_any_error_of_two_v_is_free():
  assert certified('-log(1+t)', error=2.0, M=3.0) == [1]


@pytest.mark.parametrize(
  'bad', [dict(error=0, M=1), dict(error=1, M=-1), dict(error=1, M=1, v=0),
          dict(error=1, M=float('inf'))],
)  # fmt: skip
def test_what_cannot_be_certified_is_refused(bad):
  with pytest.raises(ValueError, match='are needed'):
    certified('-t', **bad)


def test_logit_bound_is_a_bound():
  q, k = (jax.random.normal(s, (2, 9, 3, 8)) for s in jax.random.split(KEY))
  logits = jnp.einsum('bthk,bshk->bhts', q, k) / jnp.sqrt(8.0)
  assert jnp.all(
    jnp.abs(logits).max((-2, -1)) <= window_bound.logit_bound(q, k)
  )


def test_seen_is_sharper_where_the_near_keys_won():
  """For a slow encoding the a-priori window is useless, the seen one is not."""
  b = -1.1 * np.log1p(np.arange(4096))
  e = np.exp(b)
  tail, near = np.log(e[256:].sum()), np.log(e[:256].sum())
  M = 5.0
  prior = float(
    window_bound.dropped(jnp.float32(tail), jnp.float32(near), 2 * M)
  )
  won = near + 4.0  # near keys at logit 4 on average
  seen = float(
    window_bound.dropped_seen(jnp.float32(tail), jnp.float32(won), M)
  )
  assert prior > 0.99 and seen < 0.5


def test_a_window_below_a_horizon_where_float64_overflows():
  """Weights s(t) = e^t / (1 + e^t) with exp(t) in the formula: all but the
  first few are 1. error = v / 2 and M = 0 allow T_w < B / 4."""
  n = 9216
  t = np.arange(50)
  B = n - (1 / (1 + np.exp(t))).sum()
  want = int(np.floor(n - B / 4)) + 1
  bound = dict(error=0.5, M=0, horizon=n)
  assert certified('t-log(1+exp(t))', **bound) == [want]
  # of n equal weights a quarter is no less than a quarter
  assert certified('0*t', error=0.5, M=0, horizon=100) == [76]


@pytest.mark.parametrize('text', ['-a*t', '-a*log(1+t)'])
def test_a_parameter_needs_a_value(text):
  """None would say that there is no window; there is one for some values."""
  for horizon in (None, 100):
    with pytest.raises(theory.TheoryError, match="'a' has no value"):
      theory.window(text, error=0.1, M=1, horizon=horizon)
