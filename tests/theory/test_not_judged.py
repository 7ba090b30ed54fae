"""Where order enters beside the weights no reader takes the bias for all."""

import csv
import io
import json

import pytest

from extrapolation import rpe, theory
from extrapolation.theory import __main__ as main
from extrapolation.theory import subjects, trained

NAMES = [n for n in rpe.names() if not rpe.get(n, 2).bias_only]
WHY = 'order enters through (rotate|embed|score), not through weights'


@pytest.fixture(params=NAMES)
def name(request):
  return request.param


@pytest.fixture
def run(name, tmp_path):
  about = dict(name=name, H=2, hyper={}, train_length=64, init={}, final={})
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  return str(tmp_path)


def test_there_are_some():
  assert {'rotary', 'sinusoidal'} <= {*NAMES}


def test_functions_refuse(name):
  encoding = rpe.get(name, 2)
  assert [h.verdict for h in theory.verdict(encoding)] == ['not judged'] * 2
  bound = dict(error=0.1, M=1)
  for ask in (
    subjects.heads,
    theory.trf,
    lambda e: theory.window(e, **bound),
    lambda e: theory.window(e, **bound, horizon=100),
    lambda e: subjects.read(e).heads,
  ):
    with pytest.raises(theory.NotJudged, match=f'{name} is not judged: {WHY}'):
      ask(encoding)


@pytest.mark.parametrize('of', ['--rpe', '--workdir'])
def test_the_command_prints_no_number(capsys, name, run, of):
  asked = f'{of}={name if of == "--rpe" else run}'
  flags = asked, '--heads=2', '--window_error=0.1', '--logit_bound=1'
  main.main([*flags, '--format=json'])
  record = json.loads(capsys.readouterr().out)
  for head in [*record['heads'], *record.get('before', ())]:
    assert head['verdict'] == 'not judged'
    assert head['trf'] == {} and head['far'] is head['margin'] is None
    for part in (head['horizon'], head['window']):
      given = {'n', 'error'}
      assert {v for k, v in part.items() if k not in given} == {None}
  main.main([*flags, '--format=csv'])
  rows = [*csv.DictReader(io.StringIO(capsys.readouterr().out))]
  words = {'subject', 'head', 'verdict', 'argument', 'horizon', 'tight'}
  words |= {k for k in rows[0] if k.startswith('tight')}  # of a score
  assert not any(v for row in rows for k, v in row.items() if k not in words)
  main.main([*flags])
  said = capsys.readouterr().out  # of a score, which theory knows in part
  assert 'not judged' in said or 'all together: ' in said
  with pytest.raises(ValueError, match=f'nothing to draw: {WHY}'):
    main.main([asked, '--heads=2', '--figure=x.png'])
  with pytest.raises(ValueError, match=f'is not judged: {WHY}'):
    main.main([asked, '--witness', '--window=8'])


def test_a_row_of_layers_is_as_long_as_its_heads(tmp_path):
  about = dict(name='kerple_log', H=2, hyper={}, train_length=64)
  about['init'] = dict(r1=[[1.0, 2.0]] * 3, r2=[[1.0, 1.0]] * 3)
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  assert trained.read(str(tmp_path)).after.H == 6
