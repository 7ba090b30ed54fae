"""Decoding: a cache changes nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from extrapolation import attention, model, rpe
from extrapolation.evaluation import window_certificate
from extrapolation.model import decoder
from tests.model import small
from tests.model.small import forward

KEY = jax.random.key(0)
H, T = 2, 21
TOKENS = jax.random.randint(KEY, (2, T), 0, small.V)


def small_model(name, **changes):
  m = small.make(name, **changes)
  return m, m.init(KEY)


def cached_logits(m, params, window, first):
  """Logits after each token from `first` on, one token at a time."""
  prefill, step = decoder.decoder(m.network, window)
  bias = m.bias(params, max(T, *window))
  logits, caches = prefill(params, bias, TOKENS[:, :first])
  rows = [logits]
  for i in range(first, T):
    logits, caches = step(params, bias, caches, TOKENS[:, i], jnp.asarray(i))
    rows.append(logits)
  return jnp.stack(rows, 1)


@pytest.mark.parametrize(
  'name',
  small.by_form('bam', 'fire', 'kerple_power', 'sinusoidal', 'xpos'),
)
def test_cached_logits_equal_the_full_forward_pass(name):
  m, params = small_model(name, N=1)
  want = forward(m, params, TOKENS)[:, 6:]
  got = cached_logits(m, params, (T,) * H, first=7)
  np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize(
  'window', [(4, 4), (3, 9), pytest.param((1, 30), marks=pytest.mark.slow)]
)
def test_a_ring_equals_attention_within_its_window(window):
  m, params = small_model('alibi')

  def attend(q, k, v, bias, layer):
    del layer
    return attention.attend(q, k, v, bias, window=window)

  want = jax.jit(lambda p: m.logits(p, TOKENS, attend=attend))(params)[:, 6:]
  got = cached_logits(m, params, window, first=7)
  np.testing.assert_allclose(got, want, atol=2e-5)


def test_a_long_prompt_makes_logits_for_its_last_token_alone():
  length = 4096
  m = small.make('alibi', V=8192)
  params = jax.eval_shape(m.init, KEY)
  prompt = jax.ShapeDtypeStruct((1, length), jnp.int32)
  bias = jax.ShapeDtypeStruct((2, H, length), jnp.float32)
  prefill, _ = decoder.decoder(m.network, (64,) * H)
  used = prefill.lower(params, bias, prompt).compile().memory_analysis()
  assert used.temp_size_in_bytes < length * m.V * 4 / 2


@pytest.mark.slow
def test_layers_are_unrolled_to_the_same_function():
  m, params = small_model('kerple_log', scan=True, remat=True)
  plain, unrolled = model.unrolled(m, params)
  assert plain.config == small.make('kerple_log').config
  np.testing.assert_allclose(
    forward(m, params, TOKENS),
    forward(plain, unrolled, TOKENS),
    atol=1e-5,
  )
  # What is compiled for the network is found again, by it and its like.
  assert model.unrolled(m, params)[0].network is plain.network
  again, same = model.unrolled(plain, unrolled)
  assert again.network is plain.network and same is unrolled


@pytest.mark.parametrize('scan', [False, True])
@pytest.mark.parametrize('remat', [False, True])
def test_a_stream_is_greedy_decoding_by_full_forward_passes(scan, remat):
  m, params = small_model('kerple_log', scan=scan, remat=remat)
  ids, made = [3, 1, 4], []
  greedy = model.Sampling(temperature=0.0)
  for token in model.Stream(m, params, ids, (20,) * H, greedy, seed=0):
    made.append(token)
    if len(made) == 6:
      break
  # Causal: one pass over the whole text has the logits after each prefix.
  text = jnp.asarray([[*ids, *made]], jnp.int32)
  best = forward(m, params, text)[0].argmax(-1)
  assert made == best[2:-1].tolist()


def test_a_text_longer_than_the_encoding_can_go_is_refused():
  model.check_length(small.make('xpos'), 30_000)
  with pytest.raises(ValueError, match='length 70000.*scale_base'):
    model.check_length(small.make('xpos'), 70_000)


@pytest.mark.parametrize(
  'name, most, length',
  [
    ('xpos', 30_720, 40_000),
    ('rotary:scaling=dynamic:factor=4/none', 512, 600),
    ('none/alibi+rotary:scaling=dynamic:factor=4', 512, 600),
  ],
)
def test_a_rotation_that_knows_the_pass_is_refused(name, most, length):
  """What a key was rotated by is kept; it may not change with the text."""
  encodings = rpe.layers(name, 8)
  m = dataclasses.replace(small.make('none', D=32, H=8), encodings=encodings)
  model.check_length(m, most)
  with pytest.raises(ValueError, match=f'length {length}: .* most {most} tok'):
    model.check_length(m, length)


@pytest.mark.parametrize('scaling', ['none', 'pi', 'ntk', 'yarn', 'llama3'])
def test_a_rotation_of_its_own_position_goes_on(scaling):
  args = {} if scaling == 'none' else dict(factor=4.0)
  m = small.make('rotary', rpe_args=dict(scaling=scaling, **args))
  model.check_length(m, 1 << 24)


@pytest.mark.parametrize(
  'name, first',
  [('harmonic', 30),
   *(pytest.param(*x, marks=pytest.mark.slow)
     for x in (('alibi', 3), ('alibi', 30), ('harmonic', 3)))],
)  # fmt: skip
def test_what_has_left_the_ring_is_bounded_on_the_text_at_hand(name, first):
  """||o - o_w|| of every query, on the inputs that were decoded."""
  m, params = small_model(name)
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 1.5
  window, n = (3, 9), 45
  ids = np.asarray(jax.random.randint(KEY, (first,), 0, small.V)).tolist()
  bias = np.asarray(m.bias(params, n))
  tails = [
    [scipy.special.logsumexp(b[w:]) for b, w in zip(layer, window, strict=True)]
    for layer in bias
  ]
  stream = model.Stream(
    m, params, ids, window, model.Sampling(), 0, jnp.float32(tails)
  )
  of_prompt = stream.lost()
  text = [*ids, *(next(stream) for _ in range(n - first))]

  def attend(q, k, v, bias, layer):
    del layer
    o = attention.attend(q, k, v, bias, window=window)
    far = attention.attend(q, k, v, bias) - o
    far = jnp.linalg.norm(far, axis=-1).max(1)
    return o, far / jnp.linalg.norm(v, axis=-1).max(1)

  hidden = jax.jit(lambda p, x: m.hidden(p, x, attend=attend))
  largest = float(hidden(params, jnp.asarray([text[:-1]]))[1].max())
  moved = hidden(params, jnp.asarray([ids]))[1]
  assert float(moved.max()) <= of_prompt + 1e-6
  assert 0.05 < largest <= stream.lost() + 1e-6
  assert stream.lost() < (1.9 if first == 3 else 2)  # and it is not blind


@pytest.mark.slow
def test_what_has_left_the_ring_is_bounded_on_a_clock_and_under_heat():
  spec = 'alibi@forget:gate=fixed/harmonic*log_n:train_length=16:whole=true'
  m, params = small_model('none')
  m = model.make(small.V, dataclasses.replace(m.config, rpe=spec, rpe_args={}))
  params = m.init(KEY)
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 1.5
  window, n, ids = (3, 9), 45, [3, 1, 4]
  kept = window_certificate.Windows(window)
  tails = window_certificate.bounded_tails(m, params, n, kept)
  stream = model.Stream(m, params, ids, window, model.Sampling(), 0, tails)
  text, moved = [*ids, *(next(stream) for _ in range(n - 3))], []

  def attend(q, k, v, bias, layer, **kw):
    o = attention.attend(q, k, v, bias, window=window, **kw)
    far = attention.attend(q, k, v, bias, **kw) - o
    far = jnp.linalg.norm(far, axis=-1).max(1)
    moved.append(far / jnp.linalg.norm(v, axis=-1).max(1))
    return o

  m.hidden(params, jnp.asarray([text[:-1]]), attend=attend)
  assert 0.05 < float(jnp.stack(moved).max()) <= stream.lost() + 1e-6
  assert stream.lost() < 1.95  # and it is not blind


EVICTING = 'linear@forget'


@pytest.mark.slow
@pytest.mark.parametrize(
  'spec', [EVICTING, pytest.param('alibi/type1@cable', marks=pytest.mark.slow)]
)
@pytest.mark.parametrize('first', [3, pytest.param(30, marks=pytest.mark.slow)])
def test_what_is_beyond_a_difference_of_a_clock_is_bounded(spec, first):
  """Logits are those of attention in the window; ||o - o_w|| is bounded."""
  n = first + 18
  m = small.make(spec, N=1 + spec.count('/'))
  params = m.init(KEY)
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 1.5
  on_clock = [not e.clock.is_index for e in m.encodings]
  clock = np.stack([np.full(H, 3.0 if c else np.nan) for c in on_clock])
  kept = window_certificate.Windows((5, 9), clock.astype(np.float32))
  tails = window_certificate.bounded_tails(m, params, n, kept)
  ids = np.asarray(jax.random.randint(KEY, (first,), 0, small.V)).tolist()
  greedy = model.Sampling(temperature=0.0)
  stream = model.Stream(
    m, params, ids, kept.keys, greedy, 0, tails, kept.clock, length=n
  )
  text, scores = list(ids), [stream.scores[0]]
  while len(text) < n:
    text.append(next(stream))
    scores.append(stream.scores[0])

  def attend(q, k, v, bias, layer, **kw):
    limit = (
      dict(clock_window=jnp.asarray(kept.clock[layer]))
      if 'clock' in kw
      else dict(window=kept.keys)
    )
    o = attention.attend(q, k, v, bias, **limit, **kw)
    far = attention.attend(q, k, v, bias, **kw) - o
    far = jnp.linalg.norm(far, axis=-1).max(1)
    return o, far / jnp.linalg.norm(v, axis=-1).max(1)

  hidden = jax.jit(lambda p, x: m.hidden(p, x, attend=attend))
  x, moved = hidden(params, jnp.asarray([text[:-1]]))
  np.testing.assert_allclose(
    jnp.stack(scores[1:]), decoder.logits(params, x[0, first - 1 :]), atol=2e-5
  )
  assert 0.02 < float(moved.max()) <= stream.lost() + 1e-6
  assert stream.lost() < 2  # and it is not blind
  if all(on_clock) and first == 3:  # nothing is so far that it is left out
    wide = np.full_like(kept.clock, 30)
    args = m, params, ids, kept.keys, greedy, 0, jnp.asarray(-wide)
    other = model.Stream(*args, wide, length=n)
    assert [next(other) for _ in range(9)] and other.lost() == 0
  next(stream)
  with pytest.raises(ValueError, match=f'{n + 1} tokens of a text of at most'):
    next(stream)
