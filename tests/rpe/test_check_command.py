"""`python -m extrapolation.rpe.check`: every law on one page."""

import subprocess
import sys

import pytest

from extrapolation import cli, rpe
from extrapolation.rpe import check, laws
from tests import own_encoding

BAD = """
import jax.numpy as jnp
from extrapolation.rpe import base


def make(H: int, width: float = 64.0) -> base.RPE:
  def bias(distance, params):
    if distance.shape[0] > 100:
      return undefined
    return jnp.full((H, 1), jnp.nan) * distance
  return base.RPE(bias=bias, source='')
"""


def run(capsys, *argv):
  code = 0
  try:
    cli.run(check.main, list(argv))
  except SystemExit as e:
    code = e.code
  return code, *capsys.readouterr()


def test_a_good_file_passes(tmp_path, capsys):
  path = own_encoding.write(tmp_path / 'mine.py')
  code, out, err = run(capsys, f'{path}:width=9')
  assert (code, err) == (0, '')
  lines = out.splitlines()
  assert lines[0] == f'{path}:width=9: 6 passed, 8 not applicable'
  assert len(lines) == 2 + len(laws.LAWS) < 25
  assert '  not applicable  rotate knows differences only: it has no' in out
  assert lines[-1] == (
    f'next: python -m extrapolation.theory --rpe={path}:width=9'
  )


def test_a_bad_one_fails_with_the_number_and_the_line(tmp_path, capsys):
  path = own_encoding.write(tmp_path / 'bad.py', BAD)
  code, out, _ = run(capsys, path, 'alibi')
  assert code == 1
  assert (
    'failed          bias is a log weight: nan at distance 0, head 0' in out
  )
  assert (
    'failed          bias is of each distance by itself: NameError: name '
    "'undefined' is not defined (line 9)"
  ) in out
  assert "failed          source is given: source is ''" in out
  assert 'alibi: 6 passed' in out and 'next:' not in out


def test_a_file_that_cannot_be_loaded_fails(tmp_path, capsys):
  path = own_encoding.write(tmp_path / 'bad.py', 'def make(H:')
  code, out, _ = run(capsys, path)
  assert code == 1 and 'failed          it can be loaded: ' in out
  assert 'line 1: SyntaxError' in out


def test_a_spec_is_checked_part_by_part(capsys, monkeypatch):
  monkeypatch.setattr(laws, 'LAWS', laws.LAWS[:1])
  code, out, _ = run(capsys, 'type1@forget*log_n+alibi/none')
  law = laws.LAWS[0].__name__.replace('_', ' ')
  assert code == 0
  lines = out.splitlines()
  assert lines[0] == 'type1@forget*log_n+alibi/none: 5 passed'
  assert [line.split(maxsplit=1)[1] for line in lines[1:-1]] == [
    f'type1: {law}', 'forget: it is a clock', 'log_n: it is a heat',
    f'alibi: {law}', f'none: {law}',
  ]  # fmt: skip


def test_what_is_not_there_is_a_mistake_in_the_command(capsys):
  for argv, said in (
    (['nosuch.py'], "no file 'nosuch.py'"),
    (['alibbi'], "did you mean 'alibi'"),
    (['alibi:width=3'], "no hyperparameter 'width'"),
    (['none/alibi*log_m'], "no heat 'log_m'"),
    (['sinusoidal+alibi'], 'it cannot be given to a share of the heads'),
    ([], 'give the path of a file, the name of an encoding, or --all'),
  ):
    code, out, err = run(capsys, *argv)
    assert code == 2 and not out and said in err


def test_all_is_a_line_each(capsys, monkeypatch):
  monkeypatch.setattr(rpe, 'names', lambda: ['alibi', 'none'])
  monkeypatch.setattr(laws, 'LAWS', laws.LAWS[:2])
  code, out, _ = run(capsys, '--all')
  assert (code, out) == (0, 'alibi: 2 passed\nnone: 2 passed\n')


def test_it_needs_no_pytest():
  code = (
    'import sys; sys.modules["pytest"] = None; '
    'import extrapolation.rpe.check, extrapolation.rpe.laws'
  )
  subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.parametrize('argv', [['--help']])
def test_help_says_how_it_is_started(argv):
  done = subprocess.run(
    [sys.executable, '-m', 'extrapolation.rpe.check', *argv],
    capture_output=True, text=True, check=True,
  )  # fmt: skip
  assert 'usage: python -m extrapolation.rpe.check' in done.stdout
  assert done.stderr == ''
