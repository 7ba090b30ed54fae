"""Models whose layers and heads have kernels, clocks and heats of their own."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, model
from tests.receptive_field import small

KEY = jax.random.key(0)
V, T, B = 50, 33, 2
SPECS = ('type1@forget/kerple_log*asentmax:whole=true+rotary@segment:ids=3-7',)
MORE = (
  'cope*ssmax+dape@forget/stick_breaking*log_n+fire:train_length=16*ssmax',
  'fire',
  'cope',
  'stick_breaking',
  'dape',
  'fire@forget*ssmax:whole=true',
  'stick_breaking+alibi*log_n:whole=true/dape:kernel=kerple_log',
  'dape@cable*asentmax:whole=true+t5',
  'cope:positions=4*llama4:floor=8',
  'type1@forget*ssmax',
  'kerple_log@cable*asentmax:whole=true+t5'
  '/rotary@segment:ids=3-7*llama4:floor=8',
  'none*ssmax/window:width=8+harmonic*log_n:whole=true',
  'kerple_log@cable*asentmax:whole=true+t5',
  'rotary@segment:ids=3-7*llama4:floor=8',
  'linear@forget:gate=bias',
  'none*ssmax',
  'harmonic*log_n:whole=true',
  'alibi+none*log_n',
  'none/window:width=8',
  'rotary@randomized',
  'alibi@segment:ids=3-7',
  't5+kerple_log/alibi@forget:gate=fixed',
  'rotary+alibi@cable',
  'rotary:scaling=yarn:factor=4@stop:step=5',
)
TOKENS = jax.random.randint(KEY, (B, T), 0, V)


def built(spec, **changes):
  sizes = dict(N=2, D=32, H=4, F=48, dropout=0) | changes
  overrides = {f'model.{k}': str(v) for k, v in sizes.items()}
  e = config.override(config.base(), {'model.rpe': spec, **overrides})
  m = model.make(V, e.model)
  return m, moved(m.init(KEY))


def moved(params):
  """Away from initial values, where gates are all alike."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(7), len(leaves))
  return jax.tree.unflatten(
    tree,
    [
      x + 0.3 * jnp.std(x) * jax.random.normal(k, x.shape)
      for x, k in zip(leaves, keys, strict=True)
    ],
  )


@pytest.fixture(
  scope='module',
  params=[*SPECS, *(pytest.param(s, marks=pytest.mark.slow) for s in MORE)],
)
def composed(request):
  m, params = built(request.param)
  return m, params, jax.jit(m.logits)(params, TOKENS)


def test_later_tokens_change_nothing(composed):
  m, params, logits = composed
  other = TOKENS.at[:, 20:].set(1)
  again = jax.jit(m.logits)(params, other)
  np.testing.assert_allclose(again[:, :20], logits[:, :20], atol=1e-5)
  assert np.abs(again[:, 20:] - logits[:, 20:]).max() > 1e-3


def test_decoding_equals_the_full_forward_pass(composed):
  m, params, logits = composed
  keys = (64,) * m.config.H
  prompt = [int(t) for t in TOKENS[0, :17]]
  s = model.Stream(m, params, prompt, keys, model.Sampling(), 0)
  np.testing.assert_allclose(s.scores[0], logits[0, 16], atol=1e-5)
  for i in range(17, T):
    s.token = TOKENS[:1, i]
    next(s)
    np.testing.assert_allclose(s.scores[0], logits[0, i], atol=1e-5)


def test_decoding_of_scores_equals_the_full_forward_pass():
  """Of texts so short that attention is its own definition."""
  spec = 'cope*ssmax+dape@forget+fire:train_length=4+stick_breaking'
  m, params = small.make(spec, N=1, H=4)
  tokens = TOKENS[:, :9] % small.V
  logits = jax.jit(m.logits)(params, tokens)
  prompt = [int(t) for t in tokens[0, :5]]
  s = model.Stream(m, params, prompt, (9,) * 4, model.Sampling(), 0)
  for i in range(5, 9):
    s.token = tokens[:1, i]
    next(s)
    np.testing.assert_allclose(s.scores[0], logits[0, i], atol=1e-5)


def test_every_parameter_has_a_finite_gradient(composed):
  m, params, _ = composed
  weights = jnp.ones((B, T - 1))
  loss = lambda p: m.total_nll(p, TOKENS[:, :-1], TOKENS[:, 1:], weights)  # noqa: E731
  grads = jax.jit(jax.grad(loss))(params)
  for path, g in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(g).all(), jax.tree_util.keystr(path)
    if 'clock' in jax.tree_util.keystr(path):
      assert np.abs(g).max() > 0, jax.tree_util.keystr(path)


def test_documents_are_as_if_apart(composed):
  m, params, _ = composed
  cut = 13
  documents = jnp.broadcast_to(jnp.arange(T) >= cut, (B, T)).astype(jnp.int32)
  whole = jax.jit(functools.partial(m.hidden, documents=documents))
  packed = whole(params, TOKENS)
  hidden = jax.jit(m.hidden)
  np.testing.assert_allclose(
    packed[:, :cut], hidden(params, TOKENS[:, :cut]), atol=1e-5
  )
  np.testing.assert_allclose(
    packed[:, cut:], hidden(params, TOKENS[:, cut:]), atol=1e-5
  )


@pytest.mark.slow
def test_positions_stop_at_a_step():
  m, params = built('rotary@stop:step=5')
  none, rotary = (
    jax.jit(built(name)[0].logits)(params, TOKENS)
    for name in ('none', 'rotary')
  )
  for step, same in ((4, rotary), (5, none), (9, none)):
    at = dataclasses.replace(m, step=step)
    logits = jax.jit(at.logits)(params, TOKENS)
    np.testing.assert_allclose(logits, same, atol=1e-5)


def test_drawn_positions_need_a_key():
  m, params = built('alibi@randomized:length=400')
  logits = jax.jit(m.logits)
  plain = logits(params, TOKENS)
  alibi = jax.jit(built('alibi')[0].logits)(params, TOKENS)
  np.testing.assert_allclose(plain, alibi, atol=1e-5)
  drawn = [logits(params, TOKENS, clock_key=jax.random.key(i)) for i in (0, 1)]
  assert np.abs(drawn[0] - drawn[1]).max() > 1e-3
  assert np.abs(drawn[0] - plain).max() > 1e-3


def test_scan_and_unrolled_are_one_function():
  m, params = built('type1@forget*log_n:whole=true', scan=True)
  flat, of_flat = model.unrolled(m, params)
  a, b = jax.jit(m.logits), jax.jit(flat.logits)
  np.testing.assert_allclose(a(params, TOKENS), b(of_flat, TOKENS), atol=1e-5)


def test_layers_that_do_not_fit_are_refused():
  with pytest.raises(ValueError, match=r'3 encodings .* model.N = 2'):
    built('none/alibi/type1')
  with pytest.raises(ValueError, match=r'scan=False'):
    built('none/alibi', scan=True)


def test_one_kernel_learns_what_it_learnt_before():
  """No clock and no heat adds a parameter, or moves what is drawn."""
  m, _ = built('kerple_log')
  params = m.init(KEY)
  assert set(params['layers'][0]) == {
    'attention_norm', 'down', 'feedforward_norm', 'out', 'qkv', 'up',
  }  # fmt: skip
  assert {k: v.shape for k, v in params['rpe'].items()} == {
    'r1': (1, 4), 'r2': (1, 4),
  }  # fmt: skip
