"""What a window can cost is bounded by what its queries saw."""

import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention
from extrapolation.attention import reference
from extrapolation.evaluation import window_certificate
from tests.model import small

T, H, N = 40, 4, 2
TOKENS = jax.random.randint(jax.random.key(1), (2, T + 1), 0, small.V)
SAMPLE = np.asarray(TOKENS[:1])


@pytest.fixture(params=['alibi', 'type1', 'harmonic'])
def trained(request):
  """A model whose logits tell keys apart, but bound something yet."""
  m = small.make(request.param, N=N, H=H)
  params = m.init(jax.random.key(0))
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 1.2
  return m, params


def lost(m, params, window, tokens=TOKENS):
  tails = window_certificate.log_tails(m, params, T)
  tails = jnp.asarray(tails[:, np.arange(H), list(window)], jnp.float32)
  bias = m.bias(params, T)
  _, seen = window_certificate.measured(m.network, params, bias, tokens, window)
  return window_certificate.lost(seen, tails, window)


@pytest.mark.parametrize('window', [(1,) * H, (3, 5, 8, 13), (T,) * H])
def test_no_output_moves_by_more_than_the_bound(trained, window):
  m, params = trained
  moved = []

  def attend(q, k, v, bias, layer):
    del layer
    near = jnp.where(
      jnp.arange(T) < jnp.asarray(window)[:, None], bias, -jnp.inf
    )
    o = reference.attend(q, k, v, near)[0]
    far = jnp.linalg.norm(reference.attend(q, k, v, bias)[0] - o, axis=-1)
    moved.append(far / jnp.linalg.norm(v, axis=-1).max((0, 1)))
    return o

  m.hidden(params, TOKENS[:, :-1], attend=attend)
  most = np.asarray(lost(m, params, window))
  moved = np.asarray(moved)
  assert (moved <= most + 1e-6).all()
  assert most.max() <= 2
  if min(window) == T:
    assert most.max() == 0
  else:
    assert moved.max() > 0.01
  if window == (3, 5, 8, 13):  # and it is not blind
    assert np.quantile(most[most > 0], 0.1) < 1.9


def test_the_log_of_the_sum_is_that_of_the_definition():
  keys = jax.random.split(jax.random.key(0), 4)
  q, k, v = (jax.random.normal(x, (2, T, H, 8)) for x in keys[:3])
  bias = jax.random.normal(keys[3], (H, T))
  window = (1, 7, 13, T)
  o, log_sum = attention.attend_with_lse(q, k, v, bias, window=window)
  t = np.arange(T)[:, None] - np.arange(T)
  logits = np.einsum('bthk,bshk->bhts', q, k) / np.sqrt(8)
  logits = logits + np.asarray(bias)[:, np.abs(t)]
  seen = (t >= 0) & (t < np.asarray(window)[:, None, None])
  logits = np.where(seen, logits, -np.inf)
  want = np.logaddexp.reduce(logits, axis=-1)
  np.testing.assert_allclose(np.moveaxis(log_sum, 2, 1), want, atol=1e-5)
  np.testing.assert_allclose(
    o, attention.attend(q, k, v, bias, window=window), atol=1e-6
  )


def test_a_number_of_keys_is_that_number(trained):
  run = types.SimpleNamespace(model=trained[0])  # nothing else is asked for
  windows = inspect.unwrap(window_certificate.windows)
  assert windows('7', run, T) == (7,) * H
  assert windows(str(T + 5), run, T) == (T,) * H
  assert windows('full', run, T) == (T,) * H


@pytest.mark.parametrize('error', [0.98, 0.5, 0.01])
def test_certified_windows_keep_the_error_and_need_no_more(trained, error):
  m, params = trained
  windows = window_certificate._certified(m, params, SAMPLE, T, error)
  p = lost(m, params, windows, TOKENS[:1])
  assert float(p.max()) <= error * (1 + 1e-5)
  assert min(windows) >= 1 and max(windows) <= T


def test_a_longer_text_needs_no_shorter_windows():
  m = small.make('harmonic', N=N, H=H)
  params = m.init(jax.random.key(0))
  short, long = (
    window_certificate._certified(m, params, SAMPLE, n, 0.3)
    for n in (T, 10 * T)
  )
  assert all(a <= b for a, b in zip(short, long, strict=True))
  assert max(long) > T


@pytest.mark.parametrize('part', [1, 2])
def test_what_all_keys_or_values_share_costs_nothing(part):
  """A constant added to every key moves all logits of a query alike, one
  added to every value moves o and o_w alike: the certificate knows.
  """
  m = small.make('alibi', N=1, H=H)
  params = m.init(jax.random.key(0))
  layer = params['layers'][0]
  layer['qkv']['kernel'] *= 1.2
  before = window_certificate._certified(m, params, SAMPLE, T, 0.5)
  D = layer['out']['kernel'].shape[0]
  bias = layer['qkv']['bias']
  layer['qkv']['bias'] = bias.at[part * D : (part + 1) * D].add(5.0)
  after = window_certificate._certified(m, params, SAMPLE, T, 0.5)
  assert min(before) < T
  assert all(a <= b + 1 for a, b in zip(after, before, strict=True))
  if part == 2:  # the same change, as a share of larger values
    assert sum(after) < sum(before)
