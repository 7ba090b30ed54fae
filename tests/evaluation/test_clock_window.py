"""Windows by the difference of a clock lose no more than is certified."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention, config, model, rpe
from extrapolation.attention import window_bound
from extrapolation.evaluation import clock_window, window_certificate
from tests.model import small

T, H, N = 24, 4, 2
TOKENS = jax.random.randint(jax.random.key(1), (2, T + 1), 0, small.V)
SAMPLE = np.asarray(TOKENS[:1])
SPECS = (
  'linear@forget',
  'none/alibi+linear@cable',
  'kerple_power@segment:ids=3-7',
)


def composed(spec, N=N):
  section = dict(rpe=spec, N=N, H=H, D=16, F=32, dropout=0.0)
  m = model.make(small.V, config.Model(**section))
  params = m.init(jax.random.key(0))
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 1.2
  return m, params


@pytest.fixture(scope='module')
def trained():
  return composed('linear@forget', N=1)


def numbers(clock):
  return np.asarray(clock.whole, np.float64) + np.asarray(clock.part)


def dense(q, k, v, weight, seen):
  """Outputs of attention in float64; weight is the bias [B, H, T, T]."""
  q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
  s = np.einsum('bthk,bshk->bhts', q, k) / np.sqrt(q.shape[-1]) + weight
  causal = np.tril(np.ones(s.shape[-2:], bool))
  s = np.where(seen & causal, s, -np.inf)
  p = np.exp(s - s.max(-1, keepdims=True))
  p /= p.sum(-1, keepdims=True)
  return np.einsum('bhts,bshk->bthk', p, v)


def outputs_moved(m, params, windows, tokens):
  """||o - o_w|| / max ||v|| of every query, from what each attention gets."""
  moved = []

  def attend(q, k, v, bias, layer, clock=None, **kw):
    assert not kw
    if clock is None:
      far = np.arange(T)[:, None] - np.arange(T)
      weight = np.asarray(bias, np.float64)[:, np.abs(far)][None]
      seen = far < np.asarray(windows.keys)[:, None, None]
      o = attention.attend(q, k, v, bias, window=windows.keys)
    else:
      p = np.moveaxis(np.broadcast_to(numbers(clock), (len(q), T, H)), 2, 1)
      t = np.maximum(p[..., None] - p[..., None, :], 0)
      weight = np.stack(
        [
          np.asarray(
            bias.bias(jnp.asarray(x.ravel(), jnp.float32), bias.params)
          ).reshape(H, *x.shape)[h]
          for x, h in ((t[:, h], h) for h in range(H))
        ],
        1,
      )
      c = windows.clock[layer]
      seen = t <= c[:, None, None]
      o = attention.attend(
        q, k, v, bias, clock=clock, clock_window=jnp.asarray(c)
      )
    whole, near = (
      dense(q, k, v, weight.astype(np.float64), s) for s in (True, seen)
    )
    np.testing.assert_allclose(o, near, atol=2e-5)
    largest = np.linalg.norm(np.asarray(v), axis=-1).max((1,), keepdims=True)
    moved.append(np.linalg.norm(whole - near, axis=-1) / largest)
    return o

  m.hidden(params, tokens[:, :-1], attend=attend)
  return np.asarray(moved)


def lost(m, params, windows, tokens, length=T):
  tails = window_certificate.bounded_tails(m, params, length, windows)
  bias = m.bias(params, T)
  _, seen = window_certificate.measured(
    m.network, params, bias, tokens, windows.keys, jnp.asarray(windows.clock)
  )
  return np.asarray(window_certificate.lost(seen, tails, windows.keys)), seen


@pytest.mark.parametrize(
  'c',
  [0.0, 8.0, *(pytest.param(c, marks=pytest.mark.slow) for c in (2.0, np.inf))],
)
def test_no_output_moves_by_more_than_the_bound(trained, c):
  m, params = trained
  clock = np.full((1, H), c, np.float32)
  windows = window_certificate.Windows((T,) * H, clock)
  most, seen = lost(m, params, windows, TOKENS)
  moved = outputs_moved(m, params, windows, TOKENS)
  assert (moved <= most + 1e-6).all()
  assert (most.max() == 0) == (c == np.inf)
  kept = np.asarray(seen.kept)
  assert kept.min() == 1
  assert c != np.inf or (kept == np.arange(1, T + 1)[:, None]).all()
  if c == 2:
    assert moved.max() > 0.01
  if c == 8:  # and it is not blind
    assert np.quantile(most[most > 0], 0.1) < 1.5


@pytest.mark.parametrize(
  'spec, error',
  [
    (SPECS[0], 0.9),
    *(pytest.param(s, 0.2, marks=pytest.mark.slow) for s in SPECS),
  ],
)
def test_certified_differences_keep_the_error(spec, error):
  m, params = composed(spec, N=1 + spec.count('/'))
  windows = window_certificate._certified(m, params, SAMPLE, T, error)
  most, _ = lost(m, params, windows, TOKENS[:1])
  moved = outputs_moved(m, params, windows, TOKENS[:1])
  assert (moved <= most + 1e-6).all() and most.max() <= error * (1 + 1e-5)


def test_the_bound_is_attained():
  """All keys just beyond c, alike, with the value opposite to the query's."""
  n, c = 9, 2.0
  kernel = rpe.get('linear', 1)
  p = jnp.asarray([0.0] * (n - 1) + [c + 1e-6])[None, :, None]
  q = jnp.zeros((1, n, 1, 2)).at[:, -1].set(jnp.asarray([1.5, 0]))
  k = jnp.ones((1, n, 1, 2)) * jnp.asarray([-2.0, 0])
  v = jnp.ones((1, n, 1, 2)).at[:, -1].set(-1.0)
  whole, near = (
    attention.attend_with_lse(
      q, k, v, attention.Kernel(kernel.bias, {}), clock=p, **some
    )
    for some in ({}, dict(clock_window=c))
  )
  moved = np.linalg.norm(whole[0] - near[0], axis=-1)[0, -1, 0]
  positions = attention.Positions(p, jnp.zeros_like(p))
  tail = window_bound.log_beyond(positions, jnp.full(1, c)) - c
  bound = window_bound.moved_beyond(
    near[1], window_bound.query_bound(q, k), window_bound.ball(v)[1], tail
  )
  assert np.asarray(bound)[0, :-1].max() == 0
  np.testing.assert_allclose(bound[0, -1, 0], moved, rtol=1e-5)
  assert moved > 1


@pytest.mark.parametrize('spec', ['linear', 'alibi', 'type1', 'kerple_power'])
def test_it_is_the_smallest_difference(spec):
  e = rpe.get(spec, H)
  kernel = attention.Kernel(e.bias, e.init(jax.random.key(0)))
  allowed = np.asarray([-0.7, -1.3, -2.9, -4.1])
  c = clock_window.smallest(kernel, allowed)
  assert c.dtype == np.float32 and (c > 0).all()
  assert (clock_window.value(kernel, c) <= allowed).all()
  last = np.minimum(c, np.float32(clock_window.REACH * 1.0000001))
  below = np.nextafter(last, np.float32(0))
  assert (clock_window.value(kernel, below) > allowed).all()


def test_hard_windows_whole_texts_and_nothing():
  window = attention.Kernel(rpe.get('window', H, width=8).bias, {})
  few = np.full(H, -1e3)
  assert (clock_window.smallest(window, few) == 8).all()
  flat = attention.Kernel(rpe.get('none', H).bias, {})
  assert (clock_window.smallest(flat, few) == np.inf).all()
  assert (clock_window.value(flat, np.full(H, np.inf)) == -np.inf).all()
  assert (clock_window.smallest(flat, np.full(H, np.inf)) == 0).all()


def test_gates_that_are_constant_have_the_window_of_a_straight_line():
  """n e^{-k w} <= E in keys, of a clock that advances by k with each."""
  slope, n, allowed = 0.25, 1000, -3.0
  line = attention.Kernel(rpe.get('linear', 1).bias, {})
  c = clock_window.enlarged(
    np.zeros((1, 1), np.float32), [line], np.full((1, 1), allowed), n
  )
  w = next(w for w in range(n) if np.log(n - 1) - slope * w <= allowed)
  clock = attention.accumulate(jnp.full((1, n, 1), slope))
  kept = np.asarray(clock_window.seen(clock, jnp.asarray(c[0])))
  assert abs(kept[0, -1, 0] - w) <= 1
  # ALiBi's own, of the sum of a geometric series, and what n costs.
  own = np.log(1 / np.exp(allowed) / -np.expm1(-slope)) / slope
  more = np.log((n - 1) * -np.expm1(-slope)) / slope
  assert abs(kept[0, -1, 0] - own - more) <= 2


@pytest.mark.slow
def test_constant_gates_have_the_certified_window_of_alibi(monkeypatch):
  """To within a key, of the same bound: n e^{b(w)} in place of T_w."""
  m, params = composed('linear@forget', N=1)
  slopes = -np.asarray(rpe.get('alibi', H).bias(jnp.arange(2), {}))[:, 1]
  layer = params['layers'][0]
  b = -np.log(np.expm1(slopes))  # softplus(-b) is the slope
  layer['clock'] = dict(W=layer['clock']['W'] * 0, b=jnp.asarray(b))
  found = window_certificate._certified(m, params, SAMPLE, T, 0.9)
  kept = 1 + np.floor(found.clock[0] / slopes)

  def log_tails(m, params, length):
    at = -slopes[:, None] * np.arange(length + 1) + np.log(length - 1)
    return np.where(np.arange(length + 1) < length, at, -np.inf)[None]

  monkeypatch.setattr(window_certificate, 'log_tails', log_tails)
  plain = {k: v for k, v in layer.items() if k != 'clock'}
  want = window_certificate._certified(
    composed('alibi', N=1)[0], params | dict(layers={0: plain}), SAMPLE, T, 0.9
  )
  assert np.abs(np.minimum(kept, T) - want.keys).max() <= 1
  assert 1 < min(want.keys) < T


def test_a_longer_text_needs_no_smaller_differences(trained):
  short, long = (
    window_certificate._certified(*trained, SAMPLE, n, 0.3).clock
    for n in (T, 100 * T)
  )
  assert (short < long).all()


@pytest.mark.slow
def test_layers_without_a_clock_keep_their_keys():
  m, params = composed('window:width=6/linear@cable')
  found = window_certificate._certified(m, params, SAMPLE, T, 0.3)
  assert found.keys == (6,) * H
  assert np.isnan(found.clock[0]).all() and np.isfinite(found.clock[1]).all()
  assert re.fullmatch('6 6 6 6 / clock<=([0-9.]+ ?){4}', found.label)
  assert window_certificate.Windows((7, 9)).label == '7 9'
  alike = np.full((2, 2), 2.5, np.float32)
  assert window_certificate.Windows((7, 9), alike).label == 'clock<=2.5 2.5'


@pytest.mark.parametrize(
  'spec, said',
  [
    ('sandwich@forget', 'head 0 is not proved never to rise'),
    pytest.param(
      'linear+t5@cable',
      'head 2 is not proved never to rise',
      marks=pytest.mark.slow,
    ),
    ('linear@forget*ssmax:whole=true', 'a heat of the bias and a clock'),
    ('linear@forget/dape', 'logits are more than q.k and a bias'),
    ('linear@forget/alibi*asentmax:whole=true', 'changes with the text'),
  ],
)
def test_without_a_proof_there_is_no_certificate(spec, said):
  m, params = composed(spec)
  window_certificate.check(m, params, '7')
  with pytest.raises(ValueError, match=said) as e:
    window_certificate.check(m, params, 'certified:0.1')
  assert '\n' not in str(e.value) and 'window certified:0.1' in str(e.value)
