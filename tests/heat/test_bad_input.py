"""What a heat cannot be is refused in one line, before training."""

import sys
import textwrap

import jax.numpy as jnp
import pytest

from extrapolation import config, heat, train
from extrapolation.heat import check
from extrapolation.parts import Inputs
from extrapolation.rpe import check as rpe_check

GOOD = """
  import jax.numpy as jnp
  from extrapolation.heat import base

  def make(H, power: float = 0.5, whole: bool = False):
    def scale(inputs, params):
      return base.log_keys(inputs) ** power
    return base.Heat(scale=scale, whole=whole, source='a test')
"""
FILES = dict(
  my_root=GOOD,
  my_cold=GOOD.replace('return base.log_keys', 'return -base.log_keys'),
  my_zero=GOOD.replace('base.log_keys(inputs)',
                       'jnp.log(base.one(inputs, params))'),
  my_late=GOOD.replace('base.log_keys(inputs)',
                       'jnp.exp(inputs.x.mean(1, keepdims=True)[..., :1]'
                       ' + 0 * base.one(inputs, params))'),
)  # fmt: skip
SAID = dict(
  my_cold='its scale is -0.832555 at token 0, head 0; a heat must be > 0',
  my_zero='its scale is 0 at token 0, head 0; a heat must be > 0',
  my_late='changes with the tokens from 8 on',
)


@pytest.fixture
def mine(tmp_path, monkeypatch):
  """The folder of heats with files of a user's."""
  for name, text in FILES.items():
    (tmp_path / f'{name}.py').write_text(textwrap.dedent(text))
  monkeypatch.setattr(heat, '__path__', [*heat.__path__, str(tmp_path)])
  yield
  for name in FILES:
    sys.modules.pop(f'extrapolation.heat.{name}', None)
    vars(heat).pop(name, None)


def test_a_new_heat_is_one_short_file(mine):
  assert len(textwrap.dedent(GOOD).splitlines()) < 30
  assert 'my_root' in heat.names()
  record = heat.get('my_root', 4, power=2.0, whole=True)
  check.check(record, 4)
  assert record.whole and record.name == 'my_root'
  s = record.scale(Inputs(positions=jnp.asarray([9])), {})
  assert float(s[0, 0, 0]) == pytest.approx(2.302585**2)


@pytest.mark.parametrize('name', SAID)
def test_what_is_no_heat_is_named_with_its_file(name, mine):
  with pytest.raises(ValueError) as error:
    check.check(heat.get(name, 4), 4)
  text = str(error.value)
  assert SAID[name] in text and f'{name}.py' in text and '\n' not in text


@pytest.mark.parametrize(
  'name, hyper, said',
  [
    (
      'ssmaks',
      {},
      "no heat 'ssmaks' (did you mean 'ssmax'?); there are: asent",
    ),
    (
      'log_n',
      {'all': True},
      "no hyperparameter 'all'; it has: train_length, w",
    ),
    ('log_n', {'train_length': 1}, 'train_length = 1'),
    ('ssmax', {'s': 0.0}, 's = 0.0'),
    ('llama4', {'scale': -0.1}, 'scale = -0.1'),
    ('llama4', {'floor': 0}, 'floor = 0'),
    ('asentmax', {'delta': 0.0}, 'delta = 0.0'),
  ],
)
def test_errors_name_the_value_and_what_there_is(name, hyper, said):
  with pytest.raises(ValueError) as error:
    heat.get(name, 4, **hyper)
  assert said in str(error.value) and '\n' not in str(error.value)


def test_a_place_without_content_is_named():
  with pytest.raises(ValueError, match='asentmax is a function of the content'):
    heat.get('asentmax', 1).scale(Inputs(positions=jnp.arange(4)), {})


def test_it_is_refused_before_anything_is_trained(mine, tiny, tmp_path):
  e = config.override(tiny, {'model.rpe': 'alibi+none*my_cold'})
  for act in (train.check, lambda e: train.train(e, str(tmp_path / 'run'))):
    with pytest.raises(
      ValueError, match='my_cold.*its scale is -0.832555 at token 0, head'
    ) as error:
      act(e)
    assert '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


def test_the_command_that_checks_says_so(mine, capsys):
  with pytest.raises(SystemExit) as stop:
    rpe_check.main(['alibi+none*my_cold'])
  assert stop.value.code == 1
  out = capsys.readouterr().out
  assert 'failed          my_cold: it is a heat: heat ' in out
  assert (
    'its scale is -0.832555 at token 0, head ' in out and 'next:' not in out
  )
