"""Generation: a cache changes nothing, and sampling keeps what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import generate, model, rpe, train

KEY = jax.random.key(0)
V, H, T = 11, 2, 21
TOKENS = jax.random.randint(KEY, (2, T), 0, V)


def small(name, **kw):
  m = model.make(V, rpe=name, N=2, D=16, H=H, F=32, **kw)
  return m, m.init(KEY)


def cached_logits(m, params, window, first):
  """Logits after each token from `first` on, one token at a time."""
  prefill, step = generate.decoder(m, window)
  tables = m.bias(params, max(window))
  logits, caches = prefill(params, TOKENS[:, :first])
  found = [logits]
  for i in range(first, T):
    logits, caches = step(params, tables, caches, TOKENS[:, i], jnp.asarray(i))
    found.append(logits)
  return jnp.stack(found, 1)


@pytest.mark.parametrize('name', rpe.names())
def test_cached_logits_equal_the_full_forward_pass(name):
  m, params = small(name)
  want = jax.jit(m.logits)(params, TOKENS)[:, 6:]
  got = cached_logits(m, params, (T,) * H, first=7)
  np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize('window', [(4, 4), (3, 9), (1, 30)])
def test_a_ring_equals_attention_within_its_window(window):
  from extrapolation import attention

  m, params = small('alibi')

  def attend(q, k, v, bias):
    return attention.attend(q, k, v, bias, window=window)

  want = m.logits(params, TOKENS, attend=attend)[:, 6:]
  got = cached_logits(m, params, window, first=7)
  np.testing.assert_allclose(got, want, atol=2e-5)


def test_a_long_prompt_makes_logits_for_its_last_token_alone():
  length = 4096
  m = model.make(8192, rpe='alibi', N=2, D=16, H=H, F=32)
  params = jax.eval_shape(m.init, KEY)
  prompt = jax.ShapeDtypeStruct((1, length), jnp.int32)
  prefill, _ = generate.decoder(m, (64,) * H)
  used = prefill.lower(params, prompt).compile().memory_analysis()
  assert used.temp_size_in_bytes < length * m.V * 4 / 2


def test_a_scanned_model_is_unrolled_to_the_same_function():
  m, params = small('kerple_log', scan=True)
  m2, params2 = model.unrolled(m, params)
  np.testing.assert_allclose(
    m.logits(params, TOKENS), m2.logits(params2, TOKENS), atol=1e-5
  )
  m3, params3 = model.rolled(m2, params2)
  assert m3.config == m.config and jax.tree.all(
    jax.tree.map(jnp.array_equal, params3, params)
  )


def test_sampling_keeps_only_what_it_says():
  p = np.asarray([0.5, 0.3, 0.15, 0.05])
  logits = jnp.log(jnp.tile(jnp.asarray(p), (4000, 1)))

  def drawn(**kw):
    return np.asarray(generate.Sampling(**kw)(logits, KEY))

  assert set(drawn(temperature=0.0)) == {0}
  assert set(drawn(top_k=2)) == {0, 1}
  assert set(drawn(top_p=0.6)) == {0, 1}
  assert set(drawn(top_p=1e-9)) == {0}
  assert set(drawn(top_k=3, top_p=0.99)) == {0, 1, 2}
  np.testing.assert_allclose(np.bincount(drawn()) / 4000, p, atol=0.03)
  squared = p**2 / (p**2).sum()
  np.testing.assert_allclose(
    np.bincount(drawn(temperature=0.5)) / 4000, squared, atol=0.03
  )


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  from tests import conftest

  path = tmp_path_factory.mktemp('run')
  train.train(conftest.tiny_config(path), f'{path}/run', say=lambda text: None)
  return f'{path}/run'


def write(trained, **kw):
  text, said = [], []
  made = generate.generate(
    trained, 'ab', tokens=30, write=text.append, say=said.append, **kw
  )
  return made, ''.join(text), ' '.join(said)


def test_a_seed_gives_a_text_and_another_another(trained):
  a, text, _ = write(trained, seed=1)
  assert len(a) == 30 and text.startswith('ab')
  assert write(trained, seed=1)[0] == a
  assert write(trained, seed=2)[0] != a


def test_a_certified_window_says_what_it_rests_on(trained):
  _, _, said = write(trained, window='certified:0.5')
  assert 'at up to 33 tokens an error of 0.5 is certified' in said


@pytest.mark.parametrize(
  'kw, message',
  [
    (dict(window='wide'), "window 'wide': needs full, a number"),
    (dict(window='0'), "window '0': needs full"),
    (dict(window='²'), "window '²': needs full"),
    (dict(temperature=1e-39), '--temperature=1e-39: needs 0'),
    (dict(seed=2**64), '--seed=18446744073709551616: needs'),
    (dict(window='certified:2'), 'certified:ERROR with 0 < ERROR < 1'),
    (dict(temperature=-1.0), '--temperature=-1.0'),
    (dict(top_p=0.0), '--top_p=0.0'),
    (dict(top_k=-1), '--top_k=-1'),
  ],
)
def test_mistakes_are_named(trained, kw, message):
  with pytest.raises(ValueError, match=message):
    write(trained, **kw)


def test_a_text_longer_than_the_encoding_can_go_is_refused():
  generate.check_length(small('xpos')[0], 30_000)
  with pytest.raises(ValueError, match='length 40000.*scale_base'):
    generate.check_length(small('xpos')[0], 40_000)


def test_text_is_written_in_whole_characters():
  from extrapolation.data import tokenizer

  made = []
  printer = generate.Printer(tokenizer.byte_level(), made.append)
  for token in 'añ€😀b'.encode():
    printer(token)
  assert made == list('añ€😀b')


@pytest.mark.parametrize(
  'text', [b'\xff' * 40, '\ufffd\ufffd😀x'.encode(), 'a€'.encode()[:3], b'']
)
def test_what_is_no_character_is_written_in_the_end(text):
  from extrapolation.data import tokenizer

  made = []
  printer = generate.Printer(tokenizer.byte_level(), made.append)
  for token in text:
    printer(token)
    assert len(printer.waiting) < 16
  printer.close()
  assert ''.join(made) == text.decode(errors='replace')


def test_a_stream_is_greedy_decoding_by_full_forward_passes():
  m, params = small('kerple_log')
  ids, made = [3, 1, 4], []
  greedy = generate.Sampling(temperature=0.0)
  for token in generate.stream(m, params, ids, (20,) * H, greedy, seed=0):
    made.append(token)
    if len(made) == 12:
      break
  text = list(ids)
  for _ in made:
    logits = m.logits(params, jnp.asarray([text], jnp.int32))
    text.append(int(logits[0, -1].argmax()))
  assert made == text[3:]


def test_top_p_of_one_keeps_every_token():
  logits = jnp.full((1, 300_000), -15.0).at[0, 0].set(0.0)
  kept = []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax.random, 'categorical', lambda key, x: kept.append(x))
    generate.Sampling()(logits, KEY)
  assert jnp.isfinite(kept[0]).all()
