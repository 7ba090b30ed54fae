"""Numbers, lists and yes or no, in every way that people write them."""

import pytest

from extrapolation import cli, config, evaluate
from extrapolation.cli import flags, values

LISTS = (
  '16,32', '16, 32', ' 16, 32 ', '[16,32]', '[16, 32]', '(16,32)', '{16, 32}',
  '16,32,', '(16, 32,)', '16 32', '[16 32]', '1_6,3_2', '1.6e1,32.0', '2**4,32',
  "'16','32'",
)  # fmt: skip


@pytest.mark.parametrize('text', LISTS)
def test_a_list_of_whole_numbers(text):
  assert values.wholes(text) == (16, 32)
  e = config.override(config.base(), {'eval.lengths': text})
  assert e.eval.lengths == (16, 32)
  parser = flags.Parser('')
  parser.add_argument('--n', type=flags.wholes)
  assert parser.parse_args([f'--n={text}']).n == (16, 32)


@pytest.mark.parametrize('text', ['16', '16,', '(16)', '[16]', '(16,)', ' 16 '])
def test_a_list_of_one(text):
  e = config.override(config.base(), {'eval.lengths': text})
  assert e.eval.lengths == (16,)


@pytest.mark.parametrize('text', ['', '()', '[]', '[ ]'])
def test_an_empty_list(text):
  assert values.wholes(text) == ()


@pytest.mark.parametrize(
  'text', ['1000', '1_000', '1e3', '1E3', '+1000', '1000.0', ' 1000 ', '10**3',
           '0x3e8', '10e2', '0.1e4'],
)  # fmt: skip
def test_a_whole_number(text):
  assert values.whole(text) == 1000
  e = config.override(config.base(), {'train.steps': text, 'optim.warmup': '0'})
  assert e.train.steps == 1000
  parser = flags.Parser('')
  parser.add_argument('--n', type=int)
  assert parser.parse_args([f'--n={text}']).n == 1000


def test_no_digit_of_a_large_number_is_lost():
  assert values.whole('12345678901234567890123') == 12345678901234567890123
  assert values.whole('1e22') == 10**22  # 1e23 is no float64


@pytest.mark.parametrize(
  'text', ['true', 'True', 'TRUE', '1', 'yes', 'on', 'y']
)
def test_yes(text):
  assert config.override(config.base(), {'model.scan': text}).model.scan is True


@pytest.mark.parametrize('text', ['false', 'False', '0', 'no', 'off', 'N'])
def test_no(text):
  e = config.override(config.base(), {'model.scan': text})
  assert e.model.scan is False


@pytest.mark.parametrize(
  'key, text, message',
  [
    ('train.T', '16k', '16000 or 16384'),
    ('train.T', '1M', '1000000 or 1048576'),
    ('train.T', '1,000', 'without commas: 1_000'),
    ('train.T', '1e-3', 'such as 1000, 1_000, 1e3'),
    ('train.T', '1.5', 'such as 1000'),
    ('train.T', '1e999999999', 'such as 1000'),
    ('train.T', '١٢', 'such as 1000'),
    ('eval.lengths', '16;32', 'such as 1000'),
    ('eval.lengths', '16,,32', r'write it as 16,32 or \[16, 32\]'),
    ('eval.lengths', '[16,32', r'write it as 16,32 or \[16, 32\]'),
    ('eval.lengths', '[[16,32]]', r'write it as 16,32 or \[16, 32\]'),
    ('eval.lengths', '16k,32k', '16000 or 16384'),
    ('optim.lr', '1/3', 'such as 0.001 or 1e-3'),
    ('optim.lr', 'inf', 'needs a finite value'),
    ('model.scan', 'perhaps', 'neither true nor false'),
  ],
)
def test_what_is_not_understood_says_how_it_is_written(key, text, message):
  with pytest.raises(ValueError, match=f'{key} = .*{message}'):
    config.override(config.base(), {key: text})


def test_a_list_of_a_sweep_is_written_alike():
  from extrapolation.runs import sweep_grid

  e = config.override(
    config.base(), {'sweep.rpe': '[alibi, none]', 'sweep.seeds': '(3,)'}
  )
  names = [name for name, _ in sweep_grid.run_overrides(e)]
  assert names == ['alibi-s3', 'none-s3']


def test_a_flag_says_how_it_is_written(tmp_path, capsys):
  argv = [f'--workdir={tmp_path}', '--lengths=16k']
  with pytest.raises(SystemExit) as stopped:
    cli.run(evaluate.main, argv)
  assert stopped.value.code == 2
  err = capsys.readouterr().err
  assert '--lengths' in err and '16000 or 16384' in err
  assert len(err.splitlines()) == 1
