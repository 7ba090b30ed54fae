"""Mistakes on the command line of theory are one line, with the remedy."""

import pytest

from extrapolation import cli, theory
from extrapolation.theory import __main__ as main
from tests.theory.test_main import failure


def test_a_traceback_on_request(monkeypatch):
  monkeypatch.setenv('EXTRAPOLATION_TRACEBACK', '1')
  with pytest.raises(ValueError, match='horizon = 0'):
    cli.run(main.main, ['--formula=-t', '--horizon=0'])


@pytest.mark.parametrize(
  ('text', 'match'),
  [('alibi', '--rpe=alibi'), ('-n**2', 't in place of n'), ('-x/64', 'of x')],
)
def test_what_is_no_formula_in_t_is_refused(text, match):
  for ask_theory in (theory.verdict, theory.trf):
    with pytest.raises(theory.FormulaError, match=match):
      ask_theory(text)


ERRORS = [
  ('--formula=type2', '--rpe=type2'),
  ('--formula=harmonic:exponent=2', '--rpe=harmonic:exponent=2'),
  ('--formula=-n^2', 'write t in place of n'),
  ('--formula=-d/64', 'write t in place of d'),
  ('--formula=-T/2', 'write t in place of T'),
  ('--formula=3*a', 'has no t'),
  ('--function=tests.theory.test_main:in_numpy', 'use jnp'),
  ('--formula=t.__class__', 'made of'),
  ('--formula=-a*t --set=b=1', "no parameter 'b'"),
  ('--formula=-a*t --set=a', 'name=value'),
  ('--formula=-a*t --set=a=x', 'not a number'),
  ('--formula=-t --eps=0', 'eps'),
  ('--formula=-t --eps=', 'eps'),
  ('--formula=-t --horizon=0', 'horizon'),
  ('--formula=-t --horizon=99999999999', 'horizon'),
  ('--formula=log(-1-t)', 'no weight'),
  ('--rpe=alibbi', "did you mean 'alibi'"),
  ('--rpe=alibi --heads=0', 'heads'),
  ('--rpe=power --rpe_args=exponent=-1', 'exponent'),
  ('--rpe=power --rpe_args=exponent=x', 'is no number'),
  ('--rpe=power --rpe_args=width=1', "no hyperparameter 'width'"),
  ('--rpe=alibi,power:width=1', "no hyperparameter 'width'"),
  ('--rpe=alibi --set=r1=1', "no parameter 'r1'"),
  ('--function=nowhere', 'package.module:name'),
  ('--function=no.such.module:f', 'cannot import'),
  ('--function=tests.theory.test_main:missing', "no 'missing'"),
  ('--function=tests.theory.test_main:not_a_bias', 'no encoding'),
  ('--workdir=/no/such/folder', 'rpe.json'),
  ('--formula=-a*t --figure=x.png', '--set'),
  ('--formula=-t --window_error=0.1', '--logit_bound'),
  ('--formula=-t --value_bound=1', '--window_error'),
  ('--formula=-t --logit_bound=-1', 'M >= 0'),
  ('--rpe=alibi --witness', '--window'),
  ('--rpe=alibi --window=8', '--witness'),
  ('--rpe=alibi --witness --window=0', '--window=0'),
  ('--rpe=alibi --witness --window=8 --head=9', '--head=9'),
  ('--rpe=alibi,type1 --witness --window=8', 'one encoding'),
  ('--formula=-t --window_error=0 --logit_bound=1', 'error > 0'),
  ('--formula=-a*t --window_error=0.1 --logit_bound=1', '--set'),
]


@pytest.mark.parametrize(('args', 'match'), ERRORS)
def test_errors_are_one_line(capsys, args, match):
  out, err = failure(capsys, *args.split())
  assert out == '' and match in err


@pytest.mark.parametrize('args', ['', '--rpe=alibi --formula=t', '--nonsense'])
def test_usage_errors_are_one_line(capsys, args):
  with pytest.raises(SystemExit) as e:
    main.main(args.split())
  assert e.value.code == 2
  assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize(
  ('content', 'match'),
  [
    ('{', 'is not JSON'),
    ('[]', 'holds list, not an object'),
    ('{"name": "alibi"}', 'lacks H'),
    (
      '{"name": "kerple_log", "H": 2, "hyper": {}, "train_length": 8, '
      '"init": {"r1": [1.0], "r2": [1.0]}}',
      'needs',
    ),
  ],
)
def test_an_unusable_run_is_one_line(capsys, tmp_path, content, match):
  (tmp_path / 'rpe.json').write_text(content)
  assert match in failure(capsys, f'--workdir={tmp_path}')[1]
