"""A file that is no encoding is refused before anything is computed."""

import json
import sys
import textwrap

import numpy as np
import pytest

from extrapolation import cli, config, evaluate, rpe, sweep, train
from extrapolation.rpe import check
from extrapolation.runs import left_out
from extrapolation.theory import __main__ as theory

# name: (its bias, what is said of it)
BROKEN = {
  'broken_length': (
    '-distance / distance.shape[0]',
    'at distance 1, head 0, it is -0.0625 among 16 distances and -0.03125 '
    'among 32',
  ),
  'broken_most': ('distance - distance.max() + 0.0', 'at distance 0, head 0'),
  'broken_order': ('-jnp.cumsum(distance) * 1.0', 'at distance 0, head 0, it'),
  'broken_nan': (
    'jnp.sqrt(8.0 - distance)', 'is nan at distance 9, head 0'
  ),
  'broken_inf': ('1.0 / abs(distance - 7)', 'is inf at distance 7, head 0'),
  'broken_zero': ('jnp.log(distance * 1.0)', 'is -inf at distance 0, head 0'),
  'broken_late': ('jnp.where(distance > 14, jnp.nan, 0.0)',
                  'is nan at distance 15, head 0'),
  'broken_name': ('-distances', 'raises NameError'),
}  # fmt: skip
FILES = {
  name: f"""
    import jax.numpy as jnp
    from extrapolation.rpe.base import RPE
    def make(H):
      def bias(distance, params):
        return jnp.zeros((H, 1)) + ({bias})
      return RPE(bias=bias, source='')
  """
  for name, (bias, _) in BROKEN.items()
}
FILES['broken_shape'] = FILES['broken_late'].replace('(H, 1)', '(H + 1, 1)')
FILES['broken_record'] = 'def make(H):\n  return lambda distance: -distance'
FILES['broken_syntax'] = 'def make(H:'
FILES['broken_make'] = 'def mk(H): pass'
FILES['broken_default'] = 'def make(H, slope): pass'
FILES['broken_call'] = 'def make(H): return undefined'
GOOD = {
  'beyond': FILES['broken_late'].replace('distance > 14', 'distance > 40')
}  # where it is trained
SAID = {name: said for name, (_, said) in BROKEN.items()} | dict(
  broken_shape='is float32[3, 16]; it must be float32[2, 16]',
  broken_record='make() gives function, not an RPE',
  broken_syntax='SyntaxError',
  broken_make="no attribute 'make'",
  broken_default="make() has no default for 'slope'",
  broken_call='NameError',
)


@pytest.fixture
def broken(request, tmp_path, monkeypatch):
  """The folder of encodings with files that are none."""
  folder = tmp_path / 'encodings'
  folder.mkdir()
  for name in getattr(request, 'param', FILES):
    text = {**FILES, **GOOD}[name]
    (folder / f'{name}.py').write_text(textwrap.dedent(text))
  monkeypatch.setattr(rpe, '__path__', [*rpe.__path__, str(folder)])
  left_out._broken.cache_clear()
  yield
  left_out._broken.cache_clear()
  for name in (*FILES, *GOOD):
    sys.modules.pop(f'extrapolation.rpe.{name}', None)
    vars(rpe).pop(name, None)


@pytest.mark.parametrize('name', FILES)
def test_training_refuses_it_and_names_file_and_distance(
  name, broken, tiny, tmp_path
):
  with pytest.raises(ValueError, match=name) as error:
    e = config.override(tiny, {'model.rpe': name})
    train.train(e, str(tmp_path / 'run'))
  text = str(error.value)
  assert SAID[name] in text and f'{name}.py' in text and '\n' not in text
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'T', [1, 3000, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 16))]
)
@pytest.mark.parametrize('name', rpe.names())
def test_every_encoding_passes(name, T):
  check.check(rpe.get(name, 4), 4, T)


def test_far_distances_are_looked_at_too():
  def bias(distance, params):
    return np.where(distance > 90_000, np.nan, 0.0) * np.ones((2, 1))

  record = rpe.RPE(bias=bias, source='')
  check.check(record, 2, 90_000)
  with pytest.raises(ValueError, match=r'is nan at distance 9\d{4}, head 0'):
    check.check(record, 2, 1 << 20)


@pytest.mark.parametrize('broken', [['beyond']], indirect=True)
def test_evaluation_looks_as_far_as_it_goes(broken, tiny, tmp_path):
  """What was trained may be wrong beyond the length of training."""
  run = str(tmp_path / 'run')
  train.train(config.override(tiny, {'model.rpe': 'beyond'}), run)
  evaluate.evaluate(run, lengths=(8, 16))
  with pytest.raises(ValueError, match='is nan at distance 41, head 0'):
    evaluate.evaluate(run, lengths=(8, 64))


SOME = ['broken_record', 'broken_syntax']


@pytest.mark.parametrize('broken', [SOME], indirect=True)
def test_theory_of_all_names_it_and_goes_on(broken, capsys, monkeypatch):
  monkeypatch.setattr(rpe, 'names', lambda: ['alibi', *SOME, 'none'])
  argv = ['--all', '--heads=2', '--eps=0.1', '--horizon=600', '--format=json']
  with pytest.raises(SystemExit) as stopped:
    cli.run(theory.main, argv)
  assert stopped.value.code == 2
  out, err = capsys.readouterr()
  assert [r['subject'] for r in json.loads(out)] == ['alibi', 'none']
  for name in SOME:
    assert f"left out: encoding '{name}'" in err and SAID[name] in err
  assert 'error: 2 encodings were left out: broken_record, broken_syntax' in err


@pytest.mark.parametrize('broken', [['broken_late', *SOME]], indirect=True)
def test_a_sweep_of_all_names_it_and_does_the_others(
  broken, tiny, tmp_path, capsys, monkeypatch
):
  names = ['alibi', 'type2', 'broken_late', *SOME]
  monkeypatch.setattr(rpe, 'names', lambda: names)
  changes = {'sweep.rpe': 'all', 'eval.lengths': '8', 'train.steps': '2'}
  e = config.override(tiny, changes)
  with pytest.raises(
    ValueError, match='3 encodings of `all` were left out: br'
  ):
    sweep.sweep(e, str(tmp_path / 'sweep'))
  assert (tmp_path / 'sweep' / 'alibi-s0' / 'eval').is_dir()
  assert (tmp_path / 'sweep' / 'report.html').exists()
  err = capsys.readouterr().err
  for name in names[2:]:
    assert err.count(f"left out: encoding '{name}'") == 1
    assert SAID[name] in err
  with pytest.raises(ValueError, match='broken_late'):  # one that was named
    sweep.sweep(
      config.override(e, {'sweep.rpe': 'alibi,broken_late'}),
      str(tmp_path / 'other'),
    )
  assert not (tmp_path / 'other').exists()
