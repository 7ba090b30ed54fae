"""What a clock cannot be is refused in one line, before training."""

import sys
import textwrap

import jax.numpy as jnp
import pytest

from extrapolation import clock, config, train
from extrapolation.clock import check
from extrapolation.parts import Inputs
from extrapolation.rpe import check as rpe_check

GOOD = """
  import jax.numpy as jnp
  from extrapolation.clock import base

  def make(H, slope: float = 0.5):
    def increments(inputs, params):
      return slope * base.index(inputs, params)
    return base.Clock(increments=increments, source='a test')
"""
FILES = dict(
  my_slow=GOOD,
  my_back=GOOD.replace('slope *', '-slope *'),
  my_nan=GOOD.replace('slope *', 'jnp.nan *'),
  my_shape=GOOD.replace('params)\n    r', 'params)[0]\n    r'),
  my_half=GOOD.replace('params)\n    r', 'params).astype("bfloat16")\n    r'),
  my_late=GOOD.replace('slope * base.index(inputs, params)',
                       'jnp.abs(inputs.x[:, ::-1, :1])'),
  my_typo=GOOD.replace('slope *', 'slop *'),
  my_record=GOOD.replace("base.Clock(increments=increments, source='a test')",
                         '3'),
)  # fmt: skip
SAID = dict(
  my_back='its increments is -0.5 at token 1, head 0; a clock may not decrease',
  my_nan='is nan at token 0, head 0',
  my_shape='is float32[16, 1]; it must be float32[2, 16, 4], or 1 in',
  my_half='is bfloat16[1, 16, 1]; it must be float32',
  my_late='changes with the tokens from 8 on',
  my_typo="raises NameError: name 'slop' is not defined",
)


@pytest.fixture
def mine(tmp_path, monkeypatch):
  """The folder of clocks with files of a user's."""
  for name, text in FILES.items():
    (tmp_path / f'{name}.py').write_text(textwrap.dedent(text))
  monkeypatch.setattr(clock, '__path__', [*clock.__path__, str(tmp_path)])
  yield
  for name in FILES:
    sys.modules.pop(f'extrapolation.clock.{name}', None)
    vars(clock).pop(name, None)


def test_a_new_clock_is_one_short_file(mine):
  assert len(textwrap.dedent(GOOD).splitlines()) < 30
  assert 'my_slow' in clock.names()
  assert clock.defaults('my_slow') == {'slope': 0.5}
  assert clock.label('my_slow', {'slope': 2.0}) == 'my_slow:slope=2'
  record = clock.get('my_slow', 4, slope=2.0)
  check.check(record, 4)
  p = record.positions(Inputs(positions=jnp.arange(3)), {})
  assert p[0, :, 0].tolist() == [0, 2, 4]


@pytest.mark.parametrize('name', SAID)
def test_what_is_no_clock_is_named_with_its_file(name, mine):
  with pytest.raises(ValueError) as error:
    check.check(clock.get(name, 4), 4)
  text = str(error.value)
  assert SAID[name] in text and f'{name}.py' in text and '\n' not in text


@pytest.mark.parametrize(
  'name, hyper, said',
  [
    ('forgot', {}, "no clock 'forgot' (did you mean 'forget'?); there are: "),
    (
      'stop',
      {'steps': 3},
      "'stop' has no hyperparameter 'steps'; it has: step",
    ),
    ('forget', {'gate': 'full'}, "'full'; forget has: content, bias, fixed"),
    ('forget', {'decay_time_min': 0.0}, 'decay_time_min = 0.0'),
    ('forget', {'decay_time_max': 1.0}, 'decay_time_max = 1.0'),
    ('randomized', {'length': 0}, 'length = 0'),
    ('segment', {'ids': '13,869'}, "ids = '13,869'"),
    ('segment', {'ids': ''}, "ids = ''"),
    ('stop', {'step': -1}, 'step = -1'),
    ('my_record', {}, 'make() gives int, not a Clock'),
  ],
)
def test_errors_name_the_value_and_what_there_is(name, hyper, said, mine):
  with pytest.raises(ValueError) as error:
    clock.get(name, 4, **hyper)
  assert said in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
  'name, said',
  [
    ('forget', 'forget is a function of the content of each token'),
    ('cable', 'cable is a function of the content of each token'),
    ('segment', 'it needs the ids of tokens'),
  ],
)
def test_a_place_without_content_is_named(name, said):
  record = clock.get(name, 1)
  params = dict(W=jnp.ones((1, 1)), b=jnp.zeros(1))
  with pytest.raises(ValueError, match=said):
    record.increments(Inputs(positions=jnp.arange(4)), params)


def test_it_is_looked_at_in_texts_of_training(tiny):
  """randomized needs as many positions as there are tokens, and no more."""
  for T, length in ((16, 15), (40, 39)):
    changes = {'train.T': str(T), 'model.rpe': 'alibi@randomized:length='}
    good, bad = (
      config.override(
        tiny, changes | {'model.rpe': changes['model.rpe'] + str(n)}
      )
      for n in (T, length)
    )
    train.check(good)
    with pytest.raises(ValueError, match=f'length = {length} .* {T} tokens'):
      train.check(bad)


def test_too_few_positions_to_draw_from():
  import jax

  given = Inputs(positions=jnp.arange(12), key=jax.random.key(0))
  with pytest.raises(
    ValueError, match='length = 8 .* 12 tokens; give length ='
  ):
    clock.get('randomized', 1, length=8).increments(given, {})


def test_it_is_refused_before_anything_is_trained(mine, tiny, tmp_path):
  e = config.override(tiny, {'model.rpe': 'linear@my_back'})
  for act in (train.check, lambda e: train.train(e, str(tmp_path / 'run'))):
    with pytest.raises(
      ValueError, match='my_back.*its increments is -0.5 at token 1, head'
    ) as error:
      act(e)
    assert '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


def test_the_command_that_checks_says_so(mine, capsys):
  with pytest.raises(SystemExit) as stop:
    rpe_check.main(['linear@my_back'])
  assert stop.value.code == 1
  out = capsys.readouterr().out
  assert 'failed          my_back: it is a clock: clock ' in out
  assert (
    'its increments is -0.5 at token 1, head ' in out and 'next:' not in out
  )
