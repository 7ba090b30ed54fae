"""What a window can cost is bounded by what its queries saw."""

import functools
import inspect
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention, config, model
from extrapolation.attention import reference
from extrapolation.evaluation import largest_weight, window_certificate
from tests.model import small

T, H, N = 40, 4, 2
TOKENS = jax.random.randint(jax.random.key(1), (2, T + 1), 0, small.V)
SAMPLE = np.asarray(TOKENS[:1])
NAMES = ('alibi', 'type1', 'harmonic')


def slow(case):
  values = case if isinstance(case, tuple) else (case,)
  return pytest.param(*values, marks=pytest.mark.slow)


def trained(name):
  """A model whose logits tell keys apart, but bound something yet."""
  m = small.make(name, N=N, H=H)
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


@functools.cache  # one for all encodings that are a table
def moved_by(network, window):
  """(params, bias, tokens) -> |o - o_w| / max |v| of every layer."""

  def attend(q, k, v, bias, layer):
    del layer
    near = jnp.where(
      jnp.arange(T) < jnp.asarray(window)[:, None], bias, -jnp.inf
    )
    o = reference.attend(q, k, v, near)[0]
    far = jnp.linalg.norm(reference.attend(q, k, v, bias)[0] - o, axis=-1)
    return o, far / jnp.linalg.norm(v, axis=-1).max((0, 1))

  return jax.jit(lambda *args: network.hidden(*args, attend=attend)[1])


MIXED = (3, 5, 8, 13)
CASES = [(name, MIXED) for name in NAMES]
CASES += [('alibi', (1,) * H), ('alibi', (T,) * H)]
MORE = [(name, (n,) * H) for name in NAMES[1:] for n in (1, T)]


@pytest.mark.parametrize('name, window', [*CASES, *map(slow, MORE)])
def test_no_output_moves_by_more_than_the_bound(name, window):
  m, params = trained(name)
  bias = m.bias(params, T)
  moved = moved_by(m.network, window)(params, bias, TOKENS[:, :-1])
  most, moved = np.asarray(lost(m, params, window)), np.asarray(moved)
  assert (moved <= most + 1e-6).all()
  assert most.max() <= 2
  if min(window) == T:
    assert most.max() == 0
  else:
    assert moved.max() > 0.01
  if window == MIXED:  # and it is not blind
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


def test_a_number_of_keys_is_that_number():
  m, _ = trained('alibi')
  run = types.SimpleNamespace(model=m)  # nothing else is asked for
  windows = inspect.unwrap(window_certificate.windows)
  assert windows('7', run, T) == ((7,) * H, None)
  assert windows(str(T + 5), run, T) == ((T,) * H, None)
  assert windows('full', run, T) == ((T,) * H, None)


# Windows of one or two keys, of some, and of nearly all.
ERRORS = [
  ('alibi', 0.98),
  ('type1', 0.5),
  ('harmonic', 0.5),
  ('harmonic', 0.01),
]
MORE = [(name, error) for name in NAMES for error in (0.98, 0.5, 0.01)]
MORE = [x for x in MORE if x not in ERRORS]


@pytest.mark.parametrize('name, error', [*ERRORS, *map(slow, MORE)])
def test_certified_windows_keep_the_error_and_need_no_more(name, error):
  m, params = trained(name)
  windows = window_certificate._certified(m, params, SAMPLE, T, error).keys
  p = lost(m, params, windows, TOKENS[:1])
  assert float(p.max()) <= error * (1 + 1e-5)
  assert min(windows) >= 1 and max(windows) <= T


def test_a_longer_text_needs_no_shorter_windows():
  m = small.make('harmonic', N=N, H=H)
  params = m.init(jax.random.key(0))
  short, long = (
    window_certificate._certified(m, params, SAMPLE, n, 0.3).keys
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
  before = window_certificate._certified(m, params, SAMPLE, T, 0.5).keys
  D = layer['out']['kernel'].shape[0]
  bias = layer['qkv']['bias']
  layer['qkv']['bias'] = bias.at[part * D : (part + 1) * D].add(5.0)
  after = window_certificate._certified(m, params, SAMPLE, T, 0.5).keys
  assert min(before) < T
  assert all(a <= b + 1 for a, b in zip(after, before, strict=True))
  if part == 2:  # the same change, as a share of larger values
    assert sum(after) < sum(before)


BOUNDED = (
  'harmonic*log_n:train_length=16:whole=true',
  'alibi@forget:gate=fixed',
  'type1@randomized+alibi@stop:step=5',
  'alibi@forget:gate=bias/harmonic*ssmax:whole=true+none',
)


def composed(spec):
  section = dict(rpe=spec, N=N, H=H, D=16, F=32, dropout=0.0)
  m = model.make(small.V, config.Model(**section))
  params = m.init(jax.random.key(0))
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 1.2
  return m, params


def layer_terms(m, params):
  """What each layer's attention is given beside q, k and v."""
  seen = []

  def attend(q, k, v, bias, layer, **kw):
    del layer
    seen.append((bias, kw))
    return attention.attend(q, k, v, bias, **kw)

  m.hidden(params, TOKENS[:, :-1], attend=attend)
  return seen


@pytest.mark.slow
@pytest.mark.parametrize('spec', [BOUNDED[3], *map(slow, BOUNDED[:3])])
def test_no_key_weighs_more_than_what_is_summed(spec):
  """The largest s_i b(p_i - p_j) on each diagonal, from what attention gets."""
  m, params = composed(spec)
  found = largest_weight.log_weights(m, params, T)
  i, j = np.tril_indices(T)
  for of_layer, (bias, kw) in zip(found, layer_terms(m, params), strict=True):
    heat = np.broadcast_to(kw.get('heat', np.ones((1, T, 1))), (1, T, H))[0]
    if 'clock' in kw:
      p = np.asarray(kw['clock'].whole + kw['clock'].part, np.float64)[0]
      p = np.broadcast_to(p, (T, H))
      rows = [
        bias.bias(jnp.asarray(p[i, h] - p[j, h], jnp.float32), bias.params)[h]
        for h in range(H)
      ]
    else:
      rows = np.asarray(bias)[:, i - j]
    for h in range(H):
      weight = np.full((T, T), -np.inf)
      weight[i, i - j] = heat[i, h] * np.asarray(rows[h], np.float64)
      np.testing.assert_allclose(
        of_layer[h], weight.max(0), rtol=1e-4, atol=1e-5
      )


@pytest.mark.parametrize('spec', [BOUNDED[0], slow(BOUNDED[3])])
def test_the_bound_holds_on_a_clock_and_under_heat(spec):
  m, params = composed(spec)
  window, moved = (3, 5, 8, 13), []

  def attend(q, k, v, bias, layer, **kw):
    o, whole = (
      attention.attend(q, k, v, bias, implementation='reference', **kw, **some)
      for some in (dict(window=window), {})
    )
    far = jnp.linalg.norm(whole - o, axis=-1)
    moved.append(far / jnp.linalg.norm(v, axis=-1).max((0, 1)))
    return o

  m.hidden(params, TOKENS[:, :-1], attend=attend)
  most = np.asarray(lost(m, params, window))
  assert (np.asarray(moved) <= most + 1e-6).all()
  assert np.asarray(moved).max() > 0.01
  assert np.quantile(most[most > 0], 0.1) < 1.9  # and it is not blind
  windows = window_certificate._certified(m, params, SAMPLE, T, 0.9).keys
  assert float(lost(m, params, windows, TOKENS[:1]).max()) <= 0.9 * (1 + 1e-5)


@pytest.mark.parametrize(
  'spec, said',
  [
    ('sandwich@forget', 'a clock may put all keys near'),
    ('alibi*asentmax:whole=true', 'a heat of the bias changes with the text'),
    *(
      slow((spec, 'a clock may put all keys near'))
      for spec in ('t5@segment:ids=99', 'none/alibi+t5@cable')
    ),
  ],
)
def test_what_is_of_the_text_has_no_bound(spec, said):
  m, params = composed(spec)
  window_certificate.check(m, params, '7')
  window_certificate.check(m, params, 'full')
  with pytest.raises(ValueError, match=re.escape(f'certified:0.1: of {spec}')):
    window_certificate.check(m, params, 'certified:0.1')
  with pytest.raises(ValueError, match=said):
    window_certificate.log_tails(m, params, T)
  few = window_certificate.Windows((3,) * H)
  assert window_certificate.bounded_tails(m, params, T, few) is None
  run = types.SimpleNamespace(model=m)
  windows = inspect.unwrap(window_certificate.windows)
  assert windows('7', run, T).keys == (7,) * H


def test_a_whole_window_of_an_encoding_of_the_text_is_scored():
  m, params = composed('type1@forget')
  bias = m.bias(params, T)
  for keys in (3, T):
    nats, _ = window_certificate.measured(
      m.network, params, bias, TOKENS, (keys,) * H
    )

    def attend(q, k, v, bias, layer, keys=keys, **kw):
      return attention.attend(
        q, k, v, bias, window=keys, implementation='reference', **kw
      )

    want = m.nll(params, TOKENS[:, :-1], TOKENS[:, 1:], attend=attend)
    np.testing.assert_allclose(nats, want, atol=2e-5)
