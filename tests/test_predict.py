"""The command: what it prints and writes, and a prediction that is scored."""

import json
import math
import re

import pytest
from scipy import stats

from extrapolation import config, report, sweep
from extrapolation.output import signed
from extrapolation.predict import __main__ as predict
from extrapolation.predict import law as laws
from extrapolation.predict import record, registration
from extrapolation.report import scored
from extrapolation.runs import sweep_grid
from tests.predict.test_study import curve, write
from tests.test_report import RATIOS, Page, make

SMALL = [
  '--config=demo',
  '--config.eval.lengths=64,128,256',
  '--rpe=alibi,none,none*ssmax,kerple_log',
]


def test_it_prints_every_number_with_its_unit_and_meaning(tmp_path, capsys):
  predict.main([*SMALL, f'--out={tmp_path}'])
  out = capsys.readouterr().out
  lines = out.splitlines()
  assert re.findall(r'  (\S.*?)(?=  |$)', '  ' + lines[0].strip()) == [
    'encoding', 'far mass', 'ppl ratio 128', 'ppl ratio 256',
    'reach (tokens)', 'attention',
  ]  # fmt: skip
  errors, gap = laws.read().errors, laws.read().gap
  for said in (
    '90 % interval by jackknife+',
    'tokens over that at 64',
    f'one encoding left out, of {errors["encoding"]["groups"]}: median',
    f'one corpus left out, of {errors["corpus"]["groups"]}: median',
    f'must have taught {gap.shift:+.2g} nats; [..]: {gap.ends} (fitted',
    'half-widths for learned weights, from initial values (kerple_log)',
    'order enters through heat',
    f'law: {laws.default()}',
  ):
    assert said in ' '.join(out.split()) or said in out
  assert lines[-1].endswith(record.read(tmp_path).sha256)
  none = next(x for x in record.read(tmp_path).predicted if x.order)
  assert (none.encoding, none.order) == ('none*ssmax', 'not tight')
  at = record.read(tmp_path).predicted[1].lengths[0]
  assert f'{at.ratio:.3f} [{at.ratio_low:.3f}..{at.ratio_high:.3f}]' in out


def test_of_a_probe_reach_alone_is_predicted(tmp_path, capsys):
  """The law is of perplexity of text; answers to a probe have another."""
  predict.main([
    '--config=probe', '--config.eval.lengths=128,256', '--rpe=alibi,none',
    f'--out={tmp_path}',
  ])  # fmt: skip
  out = capsys.readouterr().out
  assert 'ppl ratio 256' not in out and 'no ppl ratio: ' in out
  made = record.read(tmp_path)
  assert [x.has_ratio for x in made.predicted] == [False, False]
  assert made.predicted[0].lengths[0].reach > 0
  assert scored.score(made, []) == []
  said = scored.sentences(made, [])
  assert len(said) == 1 and 'not scored' not in said[0]


def test_the_same_again_is_fine_and_another_is_refused(tmp_path):
  predict.main([*SMALL, f'--workdir={tmp_path}'])
  first = (tmp_path / record.NAME).read_text()
  predict.main([*SMALL, f'--workdir={tmp_path}'])
  assert (tmp_path / record.NAME).read_text() == first
  with pytest.raises(ValueError, match='holds another prediction'):
    predict.main([*SMALL[:2], '--rpe=alibi', f'--workdir={tmp_path}'])
  assert (tmp_path / record.NAME).read_text() == first


@pytest.mark.parametrize(
  'argv, why',
  [
    ([], '--config is required, or --fit'),
    (['--fit'], '--fit needs --out'),
    (['--fit', '--out=a', '--config=demo'], '--fit needs --out'),
    (['--config=demo', '--studies=a'], '--studies needs --fit'),
    (['--config=demo', '--out=a', '--workdir=b'], 'not both'),
  ],
)
def test_flags_that_do_not_fit_are_refused(argv, why, capsys):
  with pytest.raises(SystemExit):
    predict.main(argv)
  assert why in capsys.readouterr().err


@pytest.mark.parametrize(
  'argv, why',
  [
    (['--config=demo', '--rpe=nope'], "no encoding 'nope'"),
    (['--config=demo', '--law=/absent.json'], 'no law in /absent.json'),
    (['--config=demo', '--config.eval.window=8'], 'no prediction for'),
  ],
)
def test_bad_input_is_one_line_and_writes_nothing(argv, why, tmp_path):
  with pytest.raises(ValueError, match=why) as e:
    predict.main([*argv, f'--out={tmp_path / "out"}'])
  assert '\n' not in str(e.value) and not (tmp_path / 'out').exists()


def test_a_law_is_fitted_from_a_study(tmp_path, capsys):
  names = ('none', 'alibi', 'type1', 'harmonic')
  rows = [row for i, x in enumerate(names) for row in curve(x, 10, 10 + i)]
  folder = write(tmp_path / 'demo', rows)
  flags = ['--fit', f'--studies={folder}', f'--out={tmp_path / "law"}']
  predict.main(flags)
  out = capsys.readouterr().out
  assert '80 % intervals (jackknife+) from 4 encodings' in out
  assert 'leaving one corpus out takes 2 or more; there is 1 (sample)' in out
  law = laws.read(str(tmp_path / 'law' / 'law.json'))
  assert law.about['time'] and law.level == 0.8
  assert (tmp_path / 'law' / 'law.png').stat().st_size > 10_000
  write(tmp_path / 'demo', rows[:4])
  with pytest.raises(ValueError, match='more.*are 2 .* in 1 study'):
    predict.main([*flags[:2], f'--out={tmp_path / "none"}'])
  assert not (tmp_path / 'none').exists()
  predict.main([*SMALL, f'--law={tmp_path / "law" / "law.json"}'])
  assert '80 % interval by jackknife+' in capsys.readouterr().out


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
  """A sweep that was predicted, with outcomes as tests/test_report.py has."""
  folder = tmp_path_factory.mktemp('swept')
  make(folder, predicted=True)
  return folder


def test_each_encoding_is_scored_by_its_runs(swept):
  done = scored.score(record.read(swept), report.read(str(swept)))
  by_name = {one.name: one for one in done}
  assert set(by_name) == set(RATIOS)
  numbers = [one for one in done if one.predicted.lengths]
  assert set(by_name) - {one.name for one in numbers} == {'sinusoidal'}
  none = by_name['none']
  assert none.longest == 64 and none.ratios == {64: [1.4, 1.5]}
  assert none.miss == pytest.approx(math.log(1.45 / none.at.ratio))
  assert none.inside == (none.at.ratio_low <= 1.45 <= none.at.ratio_high)
  alibi = by_name['alibi']
  assert alibi.inside and alibi.all_inside
  text = ' '.join(scored.sentences(record.read(swept), done))
  inside = sum(one.inside for one in numbers)
  every = sum(one.all_inside for one in numbers)
  assert f'for {inside} of 5 encodings at the longest length' in text
  assert f'; for {every} at every length, every seed' in text
  pairs = zip(*((one.at.ratio, one.ratio) for one in numbers), strict=True)
  rho = stats.spearmanr(*pairs).statistic
  assert f'predicted with measured ratios {rho:+.2f} (' in text and rho < 1
  worst = max(numbers, key=lambda one: abs(one.miss))
  assert f'Worst miss: {worst.name} at 64, measured {worst.ratio:.3f}' in text


def test_a_prediction_of_other_runs_is_not_scored(swept, tmp_path):
  runs = report.read(str(swept))
  e = config.override(sweep_grid.read(str(swept))[0][1], {'train.steps': '30'})
  more = config.override(e, {'sweep.rpe': 'alibi,none'})
  registration.register(str(tmp_path), more)
  of = record.read(tmp_path)
  assert scored.score(of, runs) == []
  text = ' '.join(scored.sentences(of, []))
  assert 'not scored: alibi, none' in text and 'Rank' not in text


def test_few_encodings_are_not_ranked_and_orders_are_counted(swept):
  of = record.read(swept)
  done = scored.score(of, report.read(str(swept)))
  text = ' '.join(scored.sentences(of, done[:2]))
  assert '2 encodings with a number are too few to rank' in text
  tight, not_tight = (
    scored.Scored(
      type(done[0].predicted)('x', '', 16, why='clock', order=order),
      {64: [ratio]},
    )
    for order, ratio in (('tight', 1.0), ('not tight', 1.2))
  )
  text = ' '.join(scored.sentences(of, [tight, not_tight]))
  assert 'in 100% of the pairs' in text and '(1 and 1 encodings)' in text


def test_a_changed_prediction_is_not_scored_and_the_page_is_written(
  tmp_path, capsys
):
  e = make(tmp_path, names=('alibi',), seeds=(0,))
  other = tmp_path / 'other'
  other.mkdir()
  registration.register(str(other), e)
  body = json.loads((other / record.NAME).read_text())
  body['predicted'][0]['lengths'][0]['ratio'] = 1.0
  (tmp_path / record.NAME).write_text(json.dumps(body))
  report.write(str(tmp_path))
  assert 'was changed after it was written' in capsys.readouterr().err
  assert 'Not scored: ' in Page(tmp_path / 'report.html').text
  with pytest.raises(signed.Damaged, match='was changed'):
    sweep.sweep(e, str(tmp_path))


@pytest.mark.slow
def test_a_sweep_predicts_trains_and_scores(tiny, tmp_path, capsys):
  e = config.override(
    tiny, {'sweep.rpe': 'alibi,none,type1,harmonic', 'sweep.seeds': '0,1'}
  )
  sweep.sweep(e, str(tmp_path / 'sweep'))
  out = capsys.readouterr().out
  there = record.read(tmp_path / 'sweep')
  assert out.index('predicted 4 encodings') < out.index('[1/8]')
  assert "Rank: Spearman's rho" in out
  assert there.sha256 in Page(tmp_path / 'sweep' / 'report.html').text
  sweep.sweep(e, str(tmp_path / 'sweep'))
  assert record.read(tmp_path / 'sweep').body == there.body
