"""Mistakes in flags are one line, with the flag that was meant."""

import importlib
import runpy
import subprocess
import sys

import pytest

from extrapolation import cli
from extrapolation.cli import flags


@pytest.mark.parametrize(
  'command, said',
  [
    ('train --config=a --workdir=b --multihots', 'did you mean --multihost?'),
    ('receptive_field --workdir=a --lenght=64', 'did you mean --length?'),
    ('evaluate --workdir=a --tokens=abc', "'abc' is no whole number"),
    ('data --sauce=x', 'did you mean --source?'),
    ('theory --rpe=alibi --headss=3', 'did you mean --heads?'),
    ('generate --workdir=a --prompt -x',
     'a value that begins with - is written --prompt=VALUE'),
    ('generate --workdir=a --prompt --',
     'a value that begins with - is written --prompt=VALUE'),
  ],
)  # fmt: skip
def test_a_command_answers_in_one_line_with_exit_code_2(command, said, capsys):
  name, *argv = command.split()
  module = importlib.import_module(f'extrapolation.{name}')
  if not hasattr(module, 'main'):
    module = importlib.import_module(f'extrapolation.{name}.__main__')
  with pytest.raises(SystemExit) as ended:
    cli.run(module.main, argv)
  said_at_all = capsys.readouterr()
  one_line(ended.value.code, said_at_all.out, said_at_all.err, said)


@pytest.mark.parametrize(
  'command, said',
  [
    ('-m extrapolation.theory --rpe=alibi --headss=3', 'did you mean --heads?'),
    ('launch/local.py --processes=1 -- /no/such', 'No such file'),
    ('launch/local.py --processes=1 --port=99999 -- true', '--port=99999'),
    ('launch/slurm.py --nods=2', 'required: --config'),
  ],
)  # fmt: skip
def test_a_program_answers_in_one_line_with_exit_code_2(command, said):
  done = subprocess.run(
    [sys.executable, *command.split()], capture_output=True, text=True
  )
  one_line(done.returncode, done.stdout, done.stderr, said)


def one_line(code, out, err, said):
  assert code == 2 and out == ''
  assert err.count('\n') == 1 and err.startswith('error: ')
  assert said in err


def test_help_says_how_the_command_is_started_line_by_line(monkeypatch, capsys):
  name = 'extrapolation.receptive_field'
  monkeypatch.setattr(sys, 'argv', ['a', '--help'])
  monkeypatch.delitem(sys.modules, f'{name}.__main__', raising=False)
  with pytest.raises(SystemExit) as ended:
    runpy.run_module(name, run_name='__main__', alter_sys=True)
  assert not ended.value.code
  out = capsys.readouterr().out
  assert 'usage: python -m extrapolation.receptive_field [-h]' in out
  assert '\n  --workdir=runs/a,runs/b,runs/c --out=fields ' in out


@pytest.mark.parametrize(
  'value', ['--', '-', '-x', '--x', '- a', '', '=', '-1']
)
def test_any_value_reaches_its_flag(value):
  parser = flags.Parser('A command.')
  parser.add_argument('--prompt')
  parser.add_argument('--kind', choices=('--', 'a'), default='a')
  parser.add_argument('names', nargs='*')
  args = parser.parse_args([f'--prompt={value}', '--', '-n'])
  assert (args.prompt, args.names) == (value, ['-n'])
  assert parser.parse_args(['--kind=--']).kind == '--'


def test_a_value_is_read_as_its_type_and_checked(capsys):
  parser = flags.Parser('A command.')
  parser.add_argument('--count', type=int)
  parser.add_argument('--kind', choices=('a', 'b'))
  for argv, said in (
    (['--count=--'], "'--' is no whole number"),
    (['--kind=--'], "invalid choice: '--'"),
  ):
    with pytest.raises(SystemExit):
      parser.parse_args(argv)
    assert said in capsys.readouterr().err
