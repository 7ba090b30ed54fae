"""The transformer: sizes, order, and equal results by every way of running."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from extrapolation import config, model
from extrapolation.model import transformer
from tests.model import small

KEY = jax.random.key(0)
T = 12
TOKENS = jax.random.randint(KEY, (3, T + 1), 0, small.V)


def nll(m, params, **kw):
  return m.nll(params, TOKENS[:, :-1], TOKENS[:, 1:], **kw)


def test_the_base_model_has_44_65_million_parameters():
  """V = 50,265 (fairseq's GPT-2 dictionary), as published for this model."""
  m = model.make(50_265, config.Model())
  shapes = jax.eval_shape(m.init, KEY)
  assert sum(x.size for x in jax.tree.leaves(shapes)) == pytest.approx(
    44.65e6, rel=1e-3
  )


@pytest.mark.parametrize('name', small.by_form())
def test_tokens_after_a_position_do_not_reach_it(name):
  m = small.make(name, N=1)
  params = m.init(KEY)
  i = 5
  other = TOKENS.at[:, i + 1 :].set((TOKENS[:, i + 1 :] + 1) % small.V)
  a, b = (small.forward(m, params, x) for x in (TOKENS, other))
  np.testing.assert_allclose(a[:, : i + 1], b[:, : i + 1], atol=1e-5)
  assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize('name', ['type2', 'sinusoidal', 'rotary', 't5'])
def test_order_matters_where_there_is_an_encoding(name):
  m = small.make(name)
  params = m.init(KEY)
  mixed = TOKENS.at[:, :2].set(TOKENS[:, 1::-1][:, :2])
  assert (np.asarray(mixed) != np.asarray(TOKENS)).any()
  last = [small.forward(m, params, x)[:, -1] for x in (TOKENS, mixed)]
  assert np.abs(last[0] - last[1]).max() > 1e-6


def test_without_encoding_a_last_query_sees_a_bag():
  """One layer, no encoding: earlier tokens may trade places unnoticed."""
  m = small.make('none', N=1)
  params = m.init(KEY)
  mixed = TOKENS.at[:, :3].set(TOKENS[:, 2::-1])
  last = [small.forward(m, params, x)[:, -1] for x in (TOKENS, mixed)]
  np.testing.assert_allclose(*last, atol=1e-5)


def test_nll_is_the_cross_entropy_of_the_logits():
  m = small.make('alibi')
  params = m.init(KEY)
  p = scipy.special.log_softmax(small.forward(m, params, TOKENS[:, :-1]), -1)
  want = -np.take_along_axis(p, np.asarray(TOKENS)[:, 1:, None], -1)[..., 0]
  got = jax.jit(lambda p: nll(m, p))(params)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  'name, per_layer, forms',
  [
    ('kerple_log', True, [(True, True)]),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ('kerple_log', True, [(True, False), (False, True)]),
        ('alibi', False, [(True, True)]),
      )
    ),
  ],
)
def test_scan_and_remat_change_nothing(name, per_layer, forms):
  kw = dict(rpe_per_layer=per_layer, dropout=0.2)
  plain = small.make(name, **kw)
  params = plain.init(KEY)

  def stacked(params):
    layers = jax.tree.map(lambda *x: jnp.stack(x), *params['layers'].values())
    return {**params, 'layers': layers}

  def loss_and_grad(m, p):
    return jax.jit(jax.value_and_grad(lambda p: nll(m, p, key=KEY).mean()))(p)

  want, grads = loss_and_grad(plain, params)
  for scan, remat in forms:
    m = small.make(name, scan=scan, remat=remat, **kw)
    suit = stacked if scan else lambda params: params
    jax.tree.map(np.testing.assert_array_equal, m.init(KEY), suit(params))
    got, g = loss_and_grad(m, suit(params))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), g, suit(grads)
    )


def test_learned_encodings_are_shared_or_one_per_layer():
  for per_layer, rows in ((False, 1), (True, 2)):
    m = small.make('kerple_log', rpe_per_layer=per_layer)
    params = m.init(KEY)
    assert params['rpe']['r1'].shape == (rows, 2)
    table = m.bias(params, T)
    assert table.shape == (2, 2, T)
    assert bool((table[0] == table[1]).all()) != per_layer
    grad = jax.jit(jax.grad(lambda p, m=m: nll(m, p).mean()))(params)
    assert np.abs(grad['rpe']['r1']).min() > 0


def test_the_model_uses_the_table_it_shows():
  """What `bias` returns is what attention was given."""

  def spy(q, k, v, bias, layer):
    return v, bias

  m = small.make('kerple_power', rpe_per_layer=True)
  params = m.init(KEY)
  bias = m.bias(params, T + 1)
  hidden = jax.jit(lambda *args: m.network.hidden(*args, attend=spy))
  _, seen = hidden(params, bias, TOKENS)
  np.testing.assert_array_equal(seen, bias)


def test_bfloat16_computes_in_it_and_keeps_the_rest_in_float32():
  m = small.make('alibi', dtype='bfloat16')
  params = m.init(KEY)
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(params))
  assert jax.eval_shape(m.hidden, params, TOKENS).dtype == jnp.bfloat16
  assert m.bias(params, T).dtype == jnp.float32
  assert jax.eval_shape(m.logits, params, TOKENS).dtype == jnp.float32
  exact = small.make('alibi')
  short, full = (jax.jit(lambda p, m=m: nll(m, p))(params) for m in (m, exact))
  assert short.dtype == jnp.float32
  np.testing.assert_allclose(short, full, atol=0.05)


def test_blocks_add_to_a_residual_stream():
  """With all kernels at zero, what comes out is the embedding, normalised."""
  m = small.make('alibi')
  params = m.init(KEY)
  params['layers'] = jax.tree.map(jnp.zeros_like, params['layers'])
  x = params['embed']['embedding'][TOKENS] * 4.0  # sqrt(D)
  x = np.asarray(x)
  mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
  want = (x - mean) / np.sqrt(var + 1e-6)
  hidden = jax.jit(m.hidden)(params, TOKENS)
  np.testing.assert_allclose(hidden, want, atol=1e-5)


def test_a_long_text_goes_through_the_feedforward_in_parts(monkeypatch):
  m = small.make('alibi', N=1)
  params = m.init(KEY)

  def loss_and_grad():
    return jax.jit(jax.value_and_grad(lambda p: nll(m, p).mean()))(params)

  want, g = loss_and_grad()
  monkeypatch.setattr(transformer, 'FFN_CHUNK', 5)  # 12 tokens: 5 + 5 + 2
  got, gs = loss_and_grad()
  np.testing.assert_allclose(got, want, rtol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), g, gs)


def test_total_nll_is_the_weighted_sum_with_the_same_gradient():
  m = small.make('t5', N=1)
  params = m.init(KEY)
  x, y = TOKENS[:, :-1], TOKENS[:, 1:]
  w = jax.random.uniform(KEY, y.shape) / y.size
  a, g = jax.jit(jax.value_and_grad(lambda p: m.total_nll(p, x, y, w)))(params)
  b, gs = jax.jit(jax.value_and_grad(lambda p: (w * m.nll(p, x, y)).sum()))(
    params
  )
  np.testing.assert_allclose(a, b, rtol=1e-6)
  jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, atol=1e-6), g, gs)


def test_every_dropout_draws_with_a_key_of_its_own(monkeypatch):
  keys, real = [], transformer._dropout

  def dropout(x, rate, key):
    keys.append(tuple(jax.random.key_data(key).tolist()))
    return real(x, rate, key)

  monkeypatch.setattr(transformer, '_dropout', dropout)
  m = small.make('alibi', dropout=0.5)
  m.hidden(m.init(KEY), TOKENS, key=KEY)
  assert len(keys) == len(set(keys)) == 1 + 2 * m.config.N


def test_dropout_needs_a_key_and_keeps_the_mean():
  m = small.make('alibi', dropout=0.5)
  params = m.init(KEY)
  np.testing.assert_array_equal(nll(m, params), nll(m, params))
  a, b = (nll(m, params, key=jax.random.key(i)) for i in (1, 2))
  assert np.abs(a - b).max() > 1e-3
  np.testing.assert_array_equal(a, nll(m, params, key=jax.random.key(1)))


def test_equal_configs_share_one_model():
  """So that what is compiled for one seed serves the next."""
  assert small.make('alibi') is small.make('alibi')
  assert small.make('type1') is not small.make('alibi')


def test_encodings_that_differ_in_a_table_share_one_network():
  names = ['alibi', 'type1', 'type2', 'none', 'harmonic', 't5', 'rotary']
  networks = {name: small.make(name).network for name in names}
  same = {name for name, n in networks.items() if n is networks['alibi']}
  assert same == {'alibi', 'type1', 'type2', 'none', 'harmonic'}
  assert networks['t5'] is not networks['rotary']


@functools.cache
def nll_and_gradients(network):
  """Of the parameters and the table; compiled once for a form."""

  def total(params, bias):
    return network.nll(params, bias, TOKENS[:, :-1], TOKENS[:, 1:]).sum()

  return jax.jit(jax.value_and_grad(total, (0, 1)))


@pytest.mark.parametrize(
  'name',
  small.by_form(
    'bam',
    'dape',
    'kerple_power',
    'rotary',
    'sinusoidal',
    'stick_breaking',
    'xpos',
  ),
)
def test_a_table_given_is_the_bias_computed_inside(name):
  """The loss and all gradients, with the bias as an argument and without."""
  m = small.make(name, N=1)
  params = m.init(KEY)
  want = jax.jit(jax.value_and_grad(lambda p: nll(m, p).sum()))(params)
  bias, pull = jax.vjp(lambda p: m.bias(p, T), params)
  loss, (grads, dbias) = nll_and_gradients(m.network)(params, bias)
  got = loss, jax.tree.map(jnp.add, grads, pull(dbias)[0])
  for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_a_table_may_be_longer_than_the_text():
  m = small.make('alibi')
  params = m.init(KEY)
  x, y = TOKENS[:, :-1], TOKENS[:, 1:]
  longer = m.network.nll(params, m.bias(params, T + 9), x, y)
  np.testing.assert_allclose(longer, m.nll(params, x, y), rtol=1e-6)


@pytest.mark.parametrize(
  'scan, remat',
  [
    (False, False),
    (True, True),
    pytest.param(False, True, marks=pytest.mark.slow),
    pytest.param(True, False, marks=pytest.mark.slow),
  ],
)
def test_attend_is_told_the_layer_and_may_return_arrays(scan, remat):
  m = small.make('type1', N=3, F=8, scan=scan, remat=remat)
  params = m.init(KEY)

  def attend(q, k, v, bias, layer):
    return layer * v, (jnp.asarray(layer), bias)

  def hidden(params):
    return m.hidden(params, TOKENS, attend=attend)

  x, (layers, bias) = jax.jit(hidden)(params)
  assert x.shape == (*TOKENS.shape, 16)
  np.testing.assert_array_equal(layers, [0, 1, 2])
  np.testing.assert_allclose(bias, m.bias(params, T + 1), rtol=1e-6)
  grads = jax.jit(jax.grad(lambda p: hidden(p)[0].var()))(params)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
