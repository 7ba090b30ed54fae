"""The command line in a space: records, tables, and errors of one line."""

import contextlib
import csv
import io
import json

import pytest

from extrapolation import cli, rpe
from extrapolation.output import exit_codes
from extrapolation.theory import __main__ as main
from tests.theory.test_main import ask, failure

GRID = '--geometry=grid:2'
SHAPES = '--train=4x8', '--test=16x16'


def out_of(capsys, *args):
  main.main([*args])
  return capsys.readouterr().out


def test_an_encoding(capsys):
  record = ask(capsys, '--rpe=type1', '--heads=2', GRID, *SHAPES)
  assert record['geometry'] == 'grid' and record['keys'] == (
    '4 t keys at distance t'
  )
  assert record['shapes'] == dict(
    train='4x8', test='16x16', keys_train=32, keys_test=256, layers=None
  )
  assert record['composed']['verdict'] == 'not tight'
  for head in record['heads']:
    assert head['verdict'] == 'diverges'
    assert head['line'] == dict(verdict='converges', condition=None)
    assert head['argument'].startswith(
      '4 t keys at distance t; with b + ln(4 t)'
    )
    assert head['trf']['0.1'] == dict(low=None, high=None)
    assert head['total'] is None and 0.5 < head['shapes']['far_mass'] < 0.9
    assert not {'horizon', 'far', 'window'} & head.keys()


def test_a_formula(capsys):
  (head,) = ask(capsys, '--formula=-t/2', GRID, '--eps=0.01')['heads']
  assert head['total'] == pytest.approx(16.6707923561)  # coth^2(1/4)
  assert head['trf'] == {'0.01': dict(low=14, high=14)}
  (open_one,) = ask(capsys, '--formula=-k*t', '--geometry=tree:2:leaf')['heads']
  assert open_one['condition'] == 'k > log(2)/2' and open_one['trf'] == {}
  set_one = ask(capsys, '--formula=-k*t', '--geometry=tree', '--set=k=1')
  assert set_one['heads'][0]['total'] == pytest.approx(3.78442238235)


def test_a_function(capsys):
  record = ask(capsys, '--function=tests.theory.test_main:my_bias', GRID)
  assert record['heads'][0]['verdict'] == 'diverges'


def test_a_run(capsys, tmp_path):
  about = dict(name='kerple_log', H=2, hyper={}, train_length=8)
  values = dict(r1=[1.5, 1.5], r2=[1.0, 1.0])
  later = dict(r1=[1.5, 2.5], r2=[1.0, 1.0])
  (tmp_path / 'rpe.json').write_text(
    json.dumps(about | dict(init=values, final=later))
  )
  record = ask(capsys, f'--workdir={tmp_path}', GRID)
  assert [x['verdict'] for x in record['before']] == ['diverges'] * 2
  assert [x['verdict'] for x in record['heads']] == ['diverges', 'converges']
  assert record['heads'][1]['margin'] == pytest.approx(0.5)
  text = out_of(capsys, f'--workdir={tmp_path}', GRID)
  assert '-0.500 -> +0.500' in text


def test_a_total_on_a_line(capsys):
  (head,) = ask(capsys, '--formula=3-2*log(1+t/2)')['heads']
  # 4 e^3 (zeta(2) - 1)
  assert head['total'] == pytest.approx(4 * 20.0855369232 * 0.644934066848)
  (head,) = ask(capsys, '--formula=log(max(0,3-t))')['heads']
  assert head['total'] == 6
  (head,) = ask(capsys, '--formula=-log(t+1)')['heads']
  assert head['total'] is None


def test_text_names_the_space(capsys):
  text = out_of(capsys, '--rpe=alibi', '--heads=1', GRID, *SHAPES,
                '--logit_bound=1')  # fmt: skip
  assert text.startswith('alibi in grid, with 4 t keys at distance t\n')
  assert 'beyond 4x8 of 16x16' in text and 'share, given M' in text
  assert 'on a line' in text and 'horizon' not in text and '9216' not in text


def test_layers_and_heads_side_by_side(capsys):
  text = out_of(capsys, '--rpe=alibi+type1/exp_sqrt', '--heads=2', GRID)
  assert 'all together: not tight, layer 1, alibi+type1: not ' in text


def test_layers_that_read_the_nearest_keys(capsys):
  args = '--rpe=linear', '--heads=1', GRID, '--train=16x32'
  record = ask(capsys, *args, '--layers=3')
  assert record['shapes']['layers'] == 3
  assert record['shapes']['train'] == record['shapes']['test'] == '16x32'
  (head,) = record['heads']
  assert head['shapes']['unread'] == pytest.approx(0.0481, abs=5e-5)
  text = out_of(capsys, *args, '--layers=1')
  assert 'unread by 1 layer\n' in text and 'beyond' not in text
  text = out_of(capsys, *args, '--test=32x32', '--layers=6')
  assert 'unread by 6 layers' in text and 'beyond 16x32 of 32x32' in text


def test_csv(capsys):
  args = '--rpe=alibi,kerple_log', '--heads=2', GRID, *SHAPES, '--format=csv'
  rows = [*csv.DictReader(io.StringIO(out_of(capsys, *args)))]
  assert [row['subject'] for row in rows] == ['alibi'] * 2 + ['kerple_log'] * 2
  assert {row['keys'] for row in rows} == {'4 t keys at distance t'}
  assert rows[2]['condition'] == 'r1 > 2' and rows[2]['line_if'] == 'r1 > 1'
  assert rows[0]['keys_test'] == '256' and float(rows[0]['far_mass']) < 1
  assert rows[2]['far_mass'] == '' and rows[2]['train'] == '4x8'


@pytest.fixture(scope='module')
def everything():
  """The records of --all, and what is printed of them."""
  flags = ['--all', '--heads=2', '--geometry=tree:2:leaf', '--eps=0.1']
  args = main.parser().parse_args([*flags, '--train=3', '--test=6'])
  args.broken = {}
  records, train = main.run(args)
  out: dict = dict(records=records)
  for args.format in ('text', 'csv'):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
      main.show(args, records, train)
    out[args.format] = text.getvalue()
  return out


def test_all_says_what_changes(everything):
  lines = everything['text'].splitlines()
  assert lines[0] == (
    'verdicts on a line and in tree:at=leaf, with 2^floor(t/2) keys at '
    'distance t'
  )
  change, same = (
    next(x for x in lines if x.startswith(word)) for word in ('change: ', 'do ')
  )
  assert 'type1' in change and 'alibi' in change and 'exp_sqrt' in change
  assert 'linear' in same and 'window' in same and 'none' in same
  rows = {(x.split()[0], x.split()[1]): x for x in lines[3:] if '  ' in x}
  assert rows['linear', '1-2'].split()[2:5] == ['converges', 'converges', 'no']
  assert rows['type1', '1-2'].split()[2:5] == ['converges', 'diverges', 'yes']
  assert 'iff r1 > 1' in rows['kerple_log', '1-2']
  assert {name for name, _ in rows} >= {*rpe.names()}
  assert 'beyond 3 of 6' in lines[2]


def test_all_as_csv(everything):
  records = everything['records']
  assert [r['subject'] for r in records] == [*rpe.names()]
  rows = [*csv.DictReader(io.StringIO(everything['csv']))]
  for record in records:
    own = [row for row in rows if row['subject'] == record['subject']]
    assert len(own) == len(record['heads']) == 2
    for row, head in zip(own, record['heads'], strict=True):
      assert row['verdict'] == head['verdict']
      assert row['line'] == head['line']['verdict']


@pytest.mark.parametrize(
  'args, error',
  [
    (['--geometry=gird'], "no geometry 'gird' (did you mean 'grid'?)"),
    (['--geometry=grid:norm=l3'], "norm = 'l3'; there are: l1, l2, max"),
    (['--geometry=grid', '--train=4x4'], '--train and --test go together'),
    (['--geometry=grid', '--test=4x4'], '--train and --test go together'),
    (
      ['--geometry=grid', '--train=4x4', '--test=3x9'],
      'larger than --test=3x9',
    ),
    (['--geometry=grid', '--train=4', '--test=9'], 'the axes height x width'),
    (['--train=4', '--test=9'], 'shapes of another --geometry than a line'),
    (
      ['--geometry=line', '--train=4', '--test=9'],
      'of a line give --train_length and --horizon',
    ),
    (['--geometry=grid', '--horizon=9216'], '--horizon is of a line of tokens'),
    (['--geometry=both', '--train_length=9'], 'give --train=SIZE --test=SIZE'),
    (
      ['--geometry=grid', '--window_error=0.1', '--logit_bound=1'],
      '--window_error is of a line',
    ),
    (['--geometry=grid', '--value_bound=1'], '--value_bound is of a line'),
    (['--geometry=grid', '--figure=a.png'], '--figure is of a line of tokens'),
    (['--geometry=grid', '--logit_bound=1'], 'give --train and --test'),
    (['--geometry=grid', '--layers=3'], 'give --geometry and --train'),
    (['--layers=3'], 'give --geometry and --train'),
    (['--geometry=grid', '--train=4x4', '--layers=0'], 'needs 1 .. 64'),
    (['--geometry=grid', '--train=4x4', '--layers=65'], '--layers=65: needs'),
    (['--geometry=grid', '--train=1x1', '--layers=3'], 'has 1'),
    (['--geometry=grid', '--train=64x64', '--layers=3'], 'has 4,096'),
    (
      ['--geometry=grid', '--witness', '--window=4'],
      '--witness writes a text, which is a line',
    ),
  ],
)
def test_mistakes_are_one_line(capsys, args, error):
  out, err = failure(capsys, '--rpe=alibi', *args)
  assert out == '' and error in err


def test_a_mistake_is_seen_before_anything_is_judged(capsys, monkeypatch):
  def judged(*args):
    raise AssertionError('judged')

  monkeypatch.setattr('extrapolation.theory.convergence.judge', judged)
  args = ['--all', GRID, '--train=9x9', '--test=4x4']
  with pytest.raises(SystemExit) as e:
    cli.run(main.main, args)
  assert e.value.code == exit_codes.USAGE
  assert 'larger than' in capsys.readouterr().err
