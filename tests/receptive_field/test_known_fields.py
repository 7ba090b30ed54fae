"""Models built so that their field is known before anything is measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe, theory
from extrapolation.receptive_field import fields, measure, record
from extrapolation.theory import finite_horizon, subjects
from tests.receptive_field import small

EPS = (0.5, 0.1, 0.01)


def of_distance():
  return [k for k in rpe.names() if rpe.get(k, 2).bias_only]


def test_which_encodings_are_functions_of_distance():
  absent = set(rpe.names()) - set(of_distance())
  scored = {'fire', 'cope', 'stick_breaking', 'dape'}
  assert absent == {'sinusoidal', 'rotary', 'xpos'} | scored


@pytest.mark.slow
@pytest.mark.parametrize('w, R', [(1, 2), (3, 4)])
def test_a_hard_window_in_each_layer_reaches_exactly_its_sum(w, R):
  """R (w - 1) + 1 tokens: a gradient at the last of them, exactly 0 beyond."""
  m, params = small.make('window', N=R, rpe_args=dict(width=w))
  n, reach = 24, R * (w - 1) + 1
  s = small.settings(n)
  out = small.run('gradient', m, params, small.batch(n), s)
  g = out['gradient']
  assert (g[:, :reach] > 0).all()
  assert (g[:, reach:] == 0).all()
  assert (theory.coverage(g, [1e-12])[1] == reach).all()
  np.testing.assert_allclose(g.sum(1), 1, rtol=1e-5)


@pytest.fixture(scope='module')
def window():
  """All estimators of 3 layers with windows of 5: a reach of 13 tokens."""
  n, windows = 48, 6
  m, params = small.make('window', N=3, rpe_args=dict(width=5))
  tokens = small.text(n, windows)
  s = small.settings(
    n, tokens=n * windows, batch_tokens=4 * n, recomputed=0, resamples=20,
    eps=('0.5', '1e-9'), nats=1e-4,
  )  # fmt: skip
  measured = measure.measure(m, params, tokens, s)
  return s, measured, fields.draws(s, n, measured.sums)


@pytest.mark.parametrize('name', list(fields.NETWORK))
def test_no_estimator_sees_beyond_the_window(window, name):
  s, measured, draws = window
  total = measured.sums.total(fields.NETWORK[name])
  w = fields.weights(name, s.length, total)[0]
  reach = 5 if name == 'attention_mass' else 13
  if name.startswith('perturbation'):  # binned: the bin that 13 lies in
    assert (w[:11] > 0).all() and (w[16:] == 0).all()
    assert 11 <= draws[name][0, 1] <= 16
  else:
    assert (w[:reach] > 0).all() and (w[reach:] <= 1e-15).all()
    assert draws[name][0, 1] == reach


def test_a_context_as_long_as_the_reach_loses_nothing(window):
  _, _, draws = window
  within, low, high = draws['truncation'][0, 0]  # within 1e-4 nats
  assert (low, high) == (9, 16) and low <= within <= high
  loss = draws['loss'][0]  # contexts 1 2 4 8 16 32 48
  np.testing.assert_allclose(loss[4:], loss[-1], atol=1e-5)
  assert abs(loss[3] - loss[-1]) > 1e-4


def test_what_is_ranked_is_what_is_recorded(window):
  """Draw 0 of a field, by eps, is its estimate in the record, by name."""
  s, measured, before = window
  made = record.make(dict(train_length=s.length), s, measured.sums, measured.M)
  network = made.record['network']
  assert list(network['truncation']) == ['0.0001 nats', *s.eps]
  for name, by_eps in network.items():
    assert made.draws[name].shape[1] == len(s.eps), name
    for i, e in enumerate(s.eps):
      assert by_eps[e]['n'] == made.draws[name][0, i], (name, e)
  within, half, all_ = before['truncation'][0, :, 0]
  n = {e: f['n'] for e, f in network['truncation'].items()}
  assert n == {'0.0001 nats': within, '0.5': half, '1e-9': all_}
  assert half < within < all_


def test_heads_and_their_far_mass(window):
  _, measured, draws = window
  assert (draws['heads'][0, ..., 1] == 5).all()
  assert (draws['far'] == 0).all()
  assert measured.M.shape == (3, 2) and (measured.M > 0).all()


@pytest.mark.parametrize(
  'name, queries', [*((k, 1) for k in of_distance()), ('none', 8), ('t5', 8)]
)
def test_mass_of_heads_without_queries_is_the_field_of_theory(name, queries):
  """Weights exp(bias): attention mass is them, and n(eps) the same integer.

  Several queries have several numbers of keys: then the mean of as many.
  """
  n, H = 48, 4
  kw = dict(rpe_args=dict(width=7)) if name == 'window' else {}
  m, params = small.make(name, N=1, H=H, **kw)
  params = small.without_queries(params)
  s = small.settings(n, queries=queries)
  out = small.run('attention_mass', m, params, small.batch(n, 1), s)
  w = np.exp(np.asarray(m.bias(params, n), np.float64))[0]
  keys = np.arange(n) <= np.arange(n - queries, n)[:, None]  # [Q, n]
  want = w[:, None] * keys
  want = (want / want.sum(-1, keepdims=True)).mean(1)
  np.testing.assert_allclose(
    out['attention_mass'][0, 0], want, rtol=2e-5, atol=1e-30
  )
  found = fields.field(out['attention_mass'][0, 0].astype(float), EPS)
  # A tie of uniform weights may fall on either side in float32.
  np.testing.assert_allclose(found, theory.coverage(want, EPS)[1], atol=1)
  if queries == 1:
    values = {k: np.asarray(v[0]) for k, v in m.rpe_params(params).items()}
    heads = subjects.heads(m.encoding, values)
    read = [finite_horizon.horizon(head, n, 16, EPS).trf for head in heads]
    np.testing.assert_allclose(found, read, atol=1)


@pytest.mark.parametrize('n', [40, 48])
def test_uniform_attention_takes_all_but_eps_of_the_text(n):
  m, params = small.make('none', N=1, H=4)
  params = small.without_queries(params)
  s = small.settings(n)
  out = small.run('attention_mass', m, params, small.batch(n, 1), s)
  found = fields.field(out['attention_mass'].astype(float), EPS)
  want = np.asarray([(1 - e) * n for e in EPS])
  assert (np.abs(found - want) <= 1).all()


def test_uniform_attention_to_equal_tokens_has_a_flat_gradient():
  """All but the query itself, which has its residual as well, count alike."""
  n = 100
  m, params = small.make('none', N=1)
  params = small.without_queries(params)
  s = small.settings(n)
  same = jnp.full((1, n + 1), 3, jnp.int32)
  out = small.run('gradient', m, params, same, s)
  g = out['gradient'][0]
  np.testing.assert_allclose(g[1:], g[1], rtol=1e-4)
  assert g[0] > 2 * g[1]


def test_a_short_dtype_is_measured_in_float32():
  short = small.model_of('alibi', dtype='bfloat16', scan=True, remat=True)
  seen = []

  def hidden(key, tokens):
    m, params = measure.plain(short, short.init(key))
    seen.append(m.config)
    return m.hidden(params, tokens)

  x = jax.eval_shape(hidden, small.KEY, small.batch(24))
  (c,) = seen
  assert (c.dtype, c.scan, c.remat, c.rpe) == ('float32', False, False, 'alibi')
  assert x.dtype == np.float32
