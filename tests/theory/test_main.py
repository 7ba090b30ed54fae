"""The command line: the records it prints, and errors of one line."""

import csv
import io
import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import cli, rpe, theory
from extrapolation.output import exit_codes
from extrapolation.theory import __main__ as main


def ask(capsys, *args):
  main.main([*args, '--format=json'])
  out, err = capsys.readouterr()
  assert err == ''
  return json.loads(out)


def failure(capsys, *args):
  """stdout and stderr of a command that a mistake ends, in one line."""
  with pytest.raises(SystemExit) as e:
    cli.run(main.main, [*args])
  assert e.value.code == exit_codes.USAGE
  out, err = capsys.readouterr()
  line, hint, *more = err.splitlines()
  assert line.startswith('error: ') and 'TRACEBACK' in hint and not more
  return out, err


def my_bias(distance):
  return -2 * jnp.log1p(distance)


def two_heads(distance):
  return jnp.stack([-distance * 0.5, 0 * distance])


def in_numpy(distance):
  return -np.log(distance + 1)


encoding = rpe.get('alibi', 2)
not_a_bias = 7


def check(record, eps=('0.1', '0.01', '0.001')):
  assert set(record) >= {'subject', 'heads'}
  for head in record['heads']:
    assert set(head) >= {
      'verdict', 'condition', 'argument', 'trf', 'horizon', 'seconds'
    }  # fmt: skip
    assert head['verdict'] in {
      'converges', 'diverges', 'conditional', 'unknown', 'not judged'
    }  # fmt: skip
    assert (head['condition'] is not None) == (head['verdict'] == 'conditional')
    assert head['argument'] and head['seconds'] >= 0
    assert set(head['trf']) in ({*eps}, set())
    for bracket in head['trf'].values():
      assert set(bracket) == {'low', 'high'}
      assert all(x is None or isinstance(x, int) for x in bracket.values())
    assert set(head['horizon']) == {'n', 'far_mass', 'exponent', 'trf'}


def test_an_encoding(capsys):
  record = ask(capsys, '--rpe=type2', '--heads=8', '--horizon=9216')
  check(record)
  assert record['subject'] == 'type2' and len(record['heads']) == 8
  last = record['heads'][-1]
  assert last['trf']['0.01'] == {'low': 2467, 'high': 2467}
  assert last['horizon']['n'] == 9216
  assert last['horizon']['far_mass'] == pytest.approx(0.294, abs=1e-3)


def test_hyperparameters_are_written_as_in_sweeps(capsys):
  short = '--rpe=alibi,harmonic:exponent=1.05'
  alibi, harmonic = ask(capsys, short, '--heads=2')
  long = '--rpe=harmonic', '--rpe_args=exponent=1.05', '--heads=2'
  assert alibi['subject'] == 'alibi'
  assert harmonic['subject'] == 'harmonic:exponent=1.05'
  for own, other in zip(
    harmonic['heads'], ask(capsys, *long)['heads'], strict=True
  ):
    assert own | dict(seconds=0) == other | dict(seconds=0)


@pytest.mark.parametrize(
  'args, said',
  [
    ('--rpe=harmonic:exponent=1.05', 'p = 1.05'),
    ('--rpe=harmonic:exponent=1.0000001', 'p = 1.00000011921'),  # not 1 > 1
    ('--formula=-21*log(1+t)/20', 'p = 21/20'),  # exact as it was written
    ('--formula=-1.000000001*log(1+t)', 'p = 1000000001/1000000000'),
  ],
)
def test_numbers_are_as_long_as_they_need(capsys, args, said):
  record = ask(capsys, args, '--heads=1')
  assert record['heads'][0]['argument'].endswith(said)


def test_the_learned_one(capsys):
  record = ask(capsys, '--formula=-r1*log(1+r2*t)')
  check(record)
  (head,) = record['heads']
  assert (head['verdict'], head['condition']) == ('conditional', 'r1 > 1')
  assert head['trf'] == {}


def test_set_values(capsys):
  text = '--formula=-(1+a)*log(t+1)-2*log(log(t+3))'
  (free,) = ask(capsys, text)['heads']
  (fixed,) = ask(capsys, text, '--set=a=0')['heads']
  assert free['verdict'] == fixed['verdict'] == 'converges'
  assert 'Bertrand' in fixed['argument']
  assert fixed['trf']['0.1'] == {'low': 199, 'high': 199}
  record = ask(capsys, '--rpe=kerple_log', '--heads=2', '--set=r1=2,r2=1')
  assert record['heads'][1]['trf']['0.001'] == {'low': 608, 'high': 608}


def test_a_function(capsys):
  record = ask(capsys, '--function=tests.theory.test_main:my_bias')
  check(record)
  assert record['heads'][0]['trf']['0.01'] == {'low': 61, 'high': 61}
  heads = ask(capsys, '--function=tests.theory.test_main:two_heads')['heads']
  assert [h['verdict'] for h in heads] == ['converges', 'diverges']
  assert heads[1]['trf']['0.1'] == {'low': None, 'high': None}
  heads = ask(capsys, '--function=tests.theory.test_main:encoding')['heads']
  assert len(heads) == 2


def test_all(capsys):
  records = ask(capsys, '--all', '--heads=2', '--eps=0.1', '--horizon=600')
  assert [r['subject'] for r in records] == rpe.names()
  for record in records:
    check(record, ['0.1'])


def test_a_window(capsys):
  """As `theory.window`, for any length and below the horizon."""
  args = '--rpe=alibi,harmonic', '--heads=2', '--eps=0.1', '--horizon=4096'
  flags = '--window_error=0.01', '--logit_bound=2', '--value_bound=3'
  near, far = ask(capsys, *args, *flags)
  wanted = theory.window(rpe.get('alibi', 2), error=0.01, M=2, v=3)
  assert [h['window']['any_length'] for h in near['heads']] == wanted
  below = [h['window']['below'] for h in near['heads']]
  assert all(0 <= a - b <= 1 for a, b in zip(wanted, below, strict=True))
  assert [h['window']['any_length'] for h in far['heads']] == [None, None]
  assert all(1 < h['window']['below'] <= 4096 for h in far['heads'])
  main.main([*args, *flags, '--format=csv'])
  one, *_, last = csv.DictReader(io.StringIO(capsys.readouterr().out))
  assert one['window'] == str(wanted[0])
  assert last['window'] == '' and last['window_below']
  main.main([*args, *flags])
  assert 'window below 4096' in capsys.readouterr().out


def test_an_infinite_weight_is_noted(capsys):
  (head,) = ask(capsys, '--formula=-2*log(t)')['heads']
  assert head['verdict'] == 'converges' and head['trf'] == {}
  assert 'distance 0' in head['note']


def trained(folder, final=True, layers=0):
  def params(r1):
    r1 = np.full((2,), r1) + np.array([0, 0.25])
    one = dict(r1=r1, r2=np.full((2,), 0.5))
    if layers:
      one = {k: np.stack([v] * layers) for k, v in one.items()}
    return {k: v.tolist() for k, v in one.items()}

  data = dict(
    name='kerple_log', H=2, hyper={}, train_length=64, init=params(0.875)
  )
  if final:
    data['final'] = params(1.5)
  (folder / 'rpe.json').write_text(json.dumps(data))


def test_a_trained_run(capsys, tmp_path):
  trained(tmp_path)
  record = ask(capsys, f'--workdir={tmp_path}', '--horizon=1024')
  check(record)
  margins = [h['margin'] for h in record['before']]
  assert margins == [-0.125, 0.125]
  assert [h['margin'] for h in record['heads']] == [0.5, 0.75]
  assert [h['verdict'] for h in record['before']] == ['diverges', 'converges']
  main.main([f'--workdir={tmp_path}', '--horizon=1024'])
  text = capsys.readouterr().out
  assert 'beyond 64' in text and '-0.125 -> +0.500' in text


def test_a_run_with_layers_and_one_in_training(capsys, tmp_path):
  trained(tmp_path, final=False, layers=3)
  record = ask(capsys, f'--workdir={tmp_path}', '--horizon=64', '--eps=0.1')
  assert len(record['heads']) == 6
  assert record['heads'][0]['margin'] == record['before'][0]['margin']


def test_text_is_a_table(capsys):
  main.main(['--rpe=type1', '--heads=8'])
  out = capsys.readouterr().out
  assert '1,615 / 16,277 / 162,773' in out and 'p-series' in out
  assert max(map(len, out.splitlines())) <= 120
  main.main(['--formula=-r1*log(1+t)'])
  assert 'iff r1 > 1' in capsys.readouterr().out


def test_csv_has_a_row_a_head(capsys):
  args = ['--rpe=type1,harmonic', '--heads=2', '--eps=0.1', '--format=csv']
  main.main(args)
  one, *_, last = csv.DictReader(io.StringIO(capsys.readouterr().out))
  assert (one['subject'], one['low_0.1'], one['high_0.1']) == (
    'type1', '100', '100'
  )  # fmt: skip
  assert (last['verdict'], last['low_0.1']) == ('diverges', 'inf')


def test_figure(capsys, tmp_path):
  path = tmp_path / 'theory.png'
  args = ['--rpe=type1,harmonic', '--heads=2', '--horizon=600']
  main.main([*args, f'--figure={path}'])
  assert path.read_bytes().startswith(b'\x89PNG')


def test_order_that_enters_elsewhere_is_not_judged(capsys, tmp_path):
  for record in ask(capsys, '--rpe=rotary,sinusoidal,xpos', '--heads=2'):
    check(record)
    for head in record['heads']:
      assert head['verdict'] == 'not judged' and head['trf'] == {}
      assert 'order enters through' in head['argument']
  (head, _) = theory.verdict(rpe.get('rotary', 2))
  assert head.verdict == 'not judged'
  with pytest.raises(theory.NotProved, match='not judged'):
    theory.trf(rpe.get('sinusoidal', 2))
  about = dict(name='rotary', H=2, hyper={}, train_length=64, init={}, final={})
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  record = ask(capsys, f'--workdir={tmp_path}')
  assert record['heads'][0]['verdict'] == 'not judged'


def test_the_first_line_names_the_parameters(capsys):
  main.main(['--formula=-a*n*t'])
  assert capsys.readouterr().out.startswith('-a*n*t   parameters: a, n\n')
  main.main(['--formula=-t'])
  assert capsys.readouterr().out.startswith('-t\n')
  assert ask(capsys, '--formula=-a*n*t', '--set=a=1')['parameters'] == ['n']


def test_the_package_is_light():
  """No Flax, and nothing heavy before it is needed."""
  code = (
    'import sys, extrapolation.theory.__main__; '
    'assert not {"jax", "sympy", "flax"} & set(sys.modules); '
    'extrapolation.theory.trf("-2*log(1+t)"); '
    'assert "flax" not in sys.modules'
  )
  subprocess.run([sys.executable, '-c', code], check=True, timeout=60)


def test_help_is_fast():
  """The flags are told before jax or sympy are loaded."""
  code = (
    'import sys; from extrapolation.theory import __main__ as main\n'
    'try: main.main(["--help"])\n'
    'except SystemExit: pass\n'
    'assert not {"jax", "sympy", "flax", "numpy"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True, timeout=60)
