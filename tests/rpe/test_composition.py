"""Specs of several parts: KERNEL@CLOCK*HEAT, heads by +, layers by /."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extrapolation import clock, heat, rpe
from extrapolation.parts.check import D, probe
from extrapolation.parts.score import Tile

KEY = jax.random.key(0)

KERNELS = st.sampled_from(['alibi', 'none', 'type1', 'window:width=8', 't5'])
CLOCKS = st.sampled_from(['', '@forget', '@cable', '@randomized:length=64'])
HEATS = st.sampled_from(['', '*log_n', '*ssmax:s=0.5', '*llama4:whole=true'])
PARTS = st.tuples(KERNELS, CLOCKS, HEATS).map(''.join)
HEADS = st.lists(PARTS, min_size=1, max_size=4).map('+'.join)
SPECS = st.lists(HEADS, min_size=1, max_size=3).map('/'.join)


@given(SPECS)
@settings(max_examples=50, deadline=None)
def test_a_label_is_a_spec_of_itself(text):
  shown = rpe.write(*rpe.parse(text))
  assert rpe.write(*rpe.parse(shown)) == shown
  kernel, hyper = rpe.parse(shown)
  layers = rpe.layers(
    kernel, 12, **rpe.typed(kernel, hyper, rpe.defaults(kernel))
  )
  assert len(layers) == 1 + shown.count('/')
  if rpe.is_composed(shown):
    assert [e.name for e in layers] == shown.split('/')


@pytest.mark.parametrize(
  'text, shown',
  [
    ('harmonic*log_n:whole=yes', 'harmonic*log_n:whole=true'),
    ('alibi+none*log_n:train_length=512', 'alibi+none*log_n'),
    ('none/window:width=128', 'none/window'),
    ('harmonic:exponent=1e+3+none', 'harmonic:exponent=1000+none'),
    ('none*ssmax:s=5e-1@forget', 'none@forget*ssmax:s=0.5'),
  ],
)
def test_one_form_of_what_is_equal(text, shown):
  assert rpe.label(text, {}) == shown


def test_what_is_one_kernel():
  for text in ('alibi', 'harmonic:exponent=1e+3', 'path/to/mine.py:k=1', ''):
    assert not rpe.is_composed(text)


@pytest.mark.parametrize(
  'text, words',
  [
    ('alibi@nope', ['no clock', 'forget', 'segment']),
    ('alibi*nope', ['no heat', 'log_n', 'ssmax']),
    ('alib+none', ["did you mean 'alibi'", 'harmonic']),
    ('alibi@forget@cable', ['two of @', 'one clock']),
    ('alibi*log_n*ssmax', ['two of *', 'one heat']),
    ('alibi+', ['an encoding is missing']),
    ('alibi//none', ['an encoding is missing']),
    ('alibi@', ['a clock is missing']),
    ('alibi*ssmax:x=1', ["'ssmax' has no hyperparameter 'x'", 's, whole']),
    ('alibi@randomized:length=zz', ['length', "'zz'", 'whole number']),
    ('alibi*ssmax:s=-1', ['s = -1.0', '> 0']),
    ('alibi+none+type1', ['3', '4 heads', 'model.H']),
    ('sinusoidal+none', ['sinusoidal', 'embeddings']),
    ('alibi+stick_breaking*log_n:whole=true', ['no softmax', 'whole=false']),
    ('mine.py+none', ['mine.py', 'stands alone', 'entry point']),
  ],
)
def test_what_is_wrong_is_named(text, words):
  with pytest.raises(ValueError) as e:
    rpe.layers(text, 4)
  assert '\n' not in str(e.value)
  assert not [w for w in words if w not in str(e.value)], e.value


def test_hyperparameters_stand_in_the_text():
  with pytest.raises(ValueError, match='written into it'):
    rpe.layers('alibi+none', 4, exponent=2.0)
  with pytest.raises(ValueError, match='several layers'):
    rpe.get('alibi/none', 4)


def test_parts_have_their_own_heads_and_parameters():
  """Each part is what it is alone, in its share of the heads."""
  text = 'kerple_log@cable*ssmax:whole=true+t5+alibi@forget:gate=fixed'
  e = rpe.get(text, 6)
  raw = e.unconstrain(e.init(KEY))
  assert set(raw) == {'r1_0', 'r2_0', 'value_1'}
  params, t = e.constrain(raw), jnp.arange(20)
  bias = e.bias(t, params)
  assert bias.shape == (6, 20)
  kerple = {k: params[f'{k}_0'] for k in ('r1', 'r2')}
  for rows, name, own in (
    (slice(0, 2), 'kerple_log', kerple),
    (slice(2, 4), 't5', {'value': params['value_1']}),
    (slice(4, 6), 'alibi', {}),
  ):
    np.testing.assert_array_equal(bias[rows], rpe.get(name, 2).bias(t, own))
  inputs = probe()
  of_clock, of_heat = e.clock.init(KEY, D), e.heat.init(KEY, D)
  p = e.clock.increments(inputs, of_clock)
  s = e.heat.scale(inputs, of_heat)
  own = {k.removesuffix('_0'): v for k, v in of_clock.items()}
  cable = clock.get('cable', 2).increments(inputs, own)
  fixed = clock.get('forget', 2, gate='fixed').increments(inputs, {})
  np.testing.assert_array_equal(p[..., :2], cable)
  assert (np.asarray(p[:, 1:, 2:4]) == 1).all()  # t5 counts tokens
  np.testing.assert_array_equal(p[0, :, 4:], fixed[0])
  ssmax = heat.get('ssmax', 2).scale(inputs, {'s': of_heat['s_0']})
  np.testing.assert_array_equal(s[..., :2], ssmax)
  assert (np.asarray(s[..., 2:]) == 1).all()
  assert e.heat.whole == (True, True, False, False, False, False)


def test_scores_read_their_own_heads():
  """A plain part is z + bias, and adds no step to what has passed."""
  H, width, size = 6, 24, 2
  e = rpe.get('alibi+cope:positions=5+stick_breaking', H)
  parts = [
    rpe.get(name, size, **hyper)
    for name, hyper in (
      ('alibi', {}),
      ('cope', dict(positions=5)),
      ('stick_breaking', {}),
    )
  ]
  shapes = ((H, 3, 4), (H, 3, 4), (H, 3, 4), (1, 3, 4), (1, 3, 1), (1, 3, 4))
  tile = Tile(
    *(jax.random.uniform(jax.random.key(i), s) for i, s in enumerate(shapes)),
    passed=3 * jax.random.uniform(KEY, (H, 3, 4)),
  )
  params = e.score.init(KEY, width)
  assert params['e_1'].shape == (5, width // H)
  params = {k: v + 0.1 * jax.random.normal(KEY, v.shape)
            for k, v in params.items()}  # fmt: skip
  logit, step = (f(tile, params) for f in (e.score.logit, e.score.step))
  for i, part in enumerate(parts):
    heads = slice(i * size, (i + 1) * size)
    own = Tile(*(x if len(x) == 1 else x[heads] for x in tile))
    values = {k[:-2]: v for k, v in params.items() if k.endswith(f'_{i}')}
    want = part.score.logit(own, values)
    np.testing.assert_array_equal(logit[heads], want)
    steps = part.score.step and part.score.step(own, values)
    want = jnp.zeros((size, 3, 4)) if steps is None else steps
    np.testing.assert_array_equal(step[heads], want)
  assert e.score.softmax == (True,) * 4 + (False,) * 2
  assert not e.score.bounded and e.score.decay is e.score.slope is None
  alone = rpe.get('alibi+none', H)
  assert alone.score.is_plain and rpe.get('fire+cope', H).score.softmax is True


def test_rotations_turn_their_own_heads():
  e = rpe.get('rotary+none', 4)
  q, k = jax.random.normal(KEY, (2, 2, 9, 4, 8))
  turned = e.rotate(q, k, jnp.arange(9))
  alone = rpe.get('rotary', 2).rotate(q[:, :, :2], k[:, :, :2], jnp.arange(9))
  for got, want, x in zip(turned, alone, (q, k), strict=True):
    np.testing.assert_array_equal(got[:, :, :2], want)
    np.testing.assert_array_equal(got[:, :, 2:], x[:, :, 2:])


def test_a_training_length_is_that_of_the_run_unless_it_is_given():
  at = lambda text: rpe.at_train_length(text, 128)  # noqa: E731
  assert at('none*log_n') == 'none*log_n:train_length=128'
  assert at('none*log_n:train_length=64') == 'none*log_n:train_length=64'
  assert at('rotary') == 'rotary' and at('alibi+none') == 'alibi+none'
  assert at('fire+none') == 'fire:train_length=128+none'
  assert at('fire') == 'fire:train_length=128'
  assert rpe.at_train_length('fire', 128, ['train_length']) == 'fire'
  name, hyper = rpe.parse(at('rotary:scaling=yarn:factor=18'))
  assert name == 'rotary' and hyper['train_length'] == '128'


def test_folders_of_specs_that_differ_differ():
  specs = ['alibi+none', 'alibi/none', 'alibi*log_n', 'alibi@forget', 'alibi']
  names = [rpe.folder_name(s) for s in specs]
  assert len(set(names)) == len(names)
  assert not any(c in name for name in names for c in '/*+@ ')
