"""The transformer: sizes, order, and equal results by every way of running."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, model, rpe

KEY = jax.random.key(0)
SMALL = dict(N=2, D=16, H=2, F=32)
V, T = 11, 12
TOKENS = jax.random.randint(KEY, (3, T + 1), 0, V)


def nll(m, params, **kw):
  return m.nll(params, TOKENS[:, :-1], TOKENS[:, 1:], **kw)


def test_the_base_model_has_44_65_million_parameters():
  """V = 50,265 (fairseq's GPT-2 dictionary), as published for this model."""
  c = config.base()
  m = model.make(50_265, **config.bind('model', model.Config, c.model))
  shapes = jax.eval_shape(m.init, KEY)
  assert sum(x.size for x in jax.tree.leaves(shapes)) == pytest.approx(
    44.65e6, rel=1e-3
  )


@pytest.mark.parametrize('name', rpe.names())
def test_tokens_after_a_position_do_not_reach_it(name):
  m = model.make(V, rpe=name, **SMALL)
  params = m.init(KEY)
  logits = jax.jit(m.logits)
  i = 5
  other = TOKENS.at[:, i + 1 :].set((TOKENS[:, i + 1 :] + 1) % V)
  a, b = (logits(params, x) for x in (TOKENS, other))
  np.testing.assert_allclose(a[:, : i + 1], b[:, : i + 1], atol=1e-5)
  assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize('name', ['type2', 'sinusoidal', 'rotary', 't5'])
def test_order_matters_where_there_is_an_encoding(name):
  m = model.make(V, rpe=name, **SMALL)
  params = m.init(KEY)
  mixed = TOKENS.at[:, :2].set(TOKENS[:, 1::-1][:, :2])
  assert (np.asarray(mixed) != np.asarray(TOKENS)).any()
  last = [m.logits(params, x)[:, -1] for x in (TOKENS, mixed)]
  assert np.abs(last[0] - last[1]).max() > 1e-6


def test_without_encoding_a_last_query_sees_a_bag():
  """One layer, no encoding: earlier tokens may trade places unnoticed."""
  m = model.make(V, rpe='none', N=1, D=16, H=2, F=32)
  params = m.init(KEY)
  mixed = TOKENS.at[:, :3].set(TOKENS[:, 2::-1])
  last = [m.logits(params, x)[:, -1] for x in (TOKENS, mixed)]
  np.testing.assert_allclose(*last, atol=1e-5)


def test_nll_is_the_cross_entropy_of_the_logits():
  m = model.make(V, rpe='alibi', **SMALL)
  params = m.init(KEY)
  p = jax.nn.log_softmax(jax.jit(m.logits)(params, TOKENS[:, :-1]))
  want = -jnp.take_along_axis(p, TOKENS[:, 1:, None], -1)[..., 0]
  np.testing.assert_allclose(nll(m, params), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  'name, per_layer', [('kerple_log', True), ('alibi', False)]
)
def test_scan_and_remat_change_nothing(name, per_layer):
  kw = dict(rpe=name, rpe_per_layer=per_layer, dropout=0.2, **SMALL)
  plain = model.make(V, **kw)
  params = plain.init(KEY)
  layers = list(params['layers'].values())
  stacked = {**params, 'layers': jax.tree.map(lambda *x: jnp.stack(x), *layers)}

  def loss_and_grad(m, p):
    return jax.jit(jax.value_and_grad(lambda p: nll(m, p, key=KEY).mean()))(p)

  want, g = loss_and_grad(plain, params)
  for remat in (False, True):
    m = model.make(V, scan=True, remat=remat, **kw)
    jax.tree.map(np.testing.assert_array_equal, m.init(KEY), stacked)
    got, gs = loss_and_grad(m, stacked)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    for i, layer in g['layers'].items():
      jax.tree.map(
        lambda a, b, i=i: np.testing.assert_allclose(a, b[i], atol=1e-5),
        layer,
        gs['layers'],
      )
  got, _ = loss_and_grad(model.make(V, remat=True, **kw), params)
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_learned_encodings_are_shared_or_one_a_layer():
  for per_layer, rows in ((False, 1), (True, 2)):
    m = model.make(V, rpe='kerple_log', rpe_per_layer=per_layer, **SMALL)
    params = m.init(KEY)
    assert params['rpe']['r1'].shape == (rows, 2)
    table = m.bias(params, T)
    assert table.shape == (2, 2, T)
    assert bool((table[0] == table[1]).all()) != per_layer
    grad = jax.jit(jax.grad(lambda p, m=m: nll(m, p).mean()))(params)
    assert np.abs(grad['rpe']['r1']).min() > 0


def test_the_model_uses_the_table_it_shows():
  """What `bias` returns is what attention was given."""
  seen = []

  def spy(q, k, v, bias):
    seen.append(bias)
    return v

  m = model.make(V, rpe='kerple_power', rpe_per_layer=True, **SMALL)
  params = m.init(KEY)
  m.hidden(params, TOKENS, attend=spy)
  np.testing.assert_array_equal(jnp.stack(seen), m.bias(params, T + 1))


def test_bfloat16_computes_in_it_and_keeps_the_rest_in_float32():
  m = model.make(V, rpe='alibi', dtype='bfloat16', **SMALL)
  params = m.init(KEY)
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(params))
  assert jax.eval_shape(m.hidden, params, TOKENS).dtype == jnp.bfloat16
  assert m.bias(params, T).dtype == jnp.float32
  assert jax.eval_shape(m.logits, params, TOKENS).dtype == jnp.float32
  exact = model.make(V, rpe='alibi', **SMALL)
  short, full = (jax.jit(lambda p, m=m: nll(m, p))(params) for m in (m, exact))
  assert short.dtype == jnp.float32
  np.testing.assert_allclose(short, full, atol=0.05)


def test_blocks_add_to_a_residual_stream():
  """With all kernels at zero, what comes out is the embedding, normalised."""
  m = model.make(V, rpe='alibi', **SMALL)
  params = m.init(KEY)
  params['layers'] = jax.tree.map(jnp.zeros_like, params['layers'])
  x = params['embed']['embedding'][TOKENS] * 4.0  # sqrt(D)
  mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
  want = (x - mean) / np.sqrt(var + 1e-6)
  np.testing.assert_allclose(m.hidden(params, TOKENS), want, atol=1e-5)


def test_a_long_text_goes_through_the_feedforward_in_parts(monkeypatch):
  m = model.make(V, rpe='alibi', **SMALL)
  params = m.init(KEY)
  want, g = jax.value_and_grad(lambda p: nll(m, p).mean())(params)
  monkeypatch.setattr(model, 'LONG', 5)  # 12 tokens: 5 + 5 + 2
  got, gs = jax.value_and_grad(lambda p: nll(m, p).mean())(params)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), g, gs)


def test_total_nll_is_the_weighted_sum_with_the_same_gradient():
  m = model.make(V, rpe='t5', **SMALL)
  params = m.init(KEY)
  x, y = TOKENS[:, :-1], TOKENS[:, 1:]
  w = jax.random.uniform(KEY, y.shape) / y.size
  a, g = jax.value_and_grad(lambda p: m.total_nll(p, x, y, w))(params)
  b, gs = jax.value_and_grad(lambda p: (w * m.nll(p, x, y)).sum())(params)
  np.testing.assert_allclose(a, b, rtol=1e-6)
  jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, atol=1e-6), g, gs)


def test_dropout_needs_a_key_and_keeps_the_mean():
  m = model.make(V, rpe='alibi', dropout=0.5, **SMALL)
  params = m.init(KEY)
  np.testing.assert_array_equal(nll(m, params), nll(m, params))
  a, b = (nll(m, params, key=jax.random.key(i)) for i in (1, 2))
  assert np.abs(a - b).max() > 1e-3
  np.testing.assert_array_equal(a, nll(m, params, key=jax.random.key(1)))


def test_equal_configs_share_one_model():
  """So that what is compiled for one seed serves the next."""
  assert model.make(V, rpe='alibi', **SMALL) is model.make(
    V, rpe='alibi', **SMALL
  )
  assert model.make(V, rpe='type1', **SMALL) is not model.make(
    V, rpe='alibi', **SMALL
  )
