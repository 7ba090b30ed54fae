"""The probe as the second evaluation of a sweep, and its part of the report."""

import math

import pytest

from extrapolation import config, probe, report, runs, sweep
from extrapolation.output import table
from extrapolation.probe import reach
from extrapolation.report import probes
from extrapolation.runs import eval_table, probe_table, sweep_grid
from tests import conftest, test_report

NEEDLE = 'needle:values=4:filler=4'
REACHED = dict(alibi=5, none=60, type1=20)  # tokens, at every length
STEPS = (1, 3, 7, 15, 31, 63)


def with_probe(e, spec, **changes):
  changes = {k.replace('__', '.'): v for k, v in changes.items()}
  return config.override(e, changes | {'eval.probe': spec})


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'eval.probe': 'own'}, 'text without a probe: name one'),
    ({'eval.probe': 'nedle'}, "did you mean 'needle'"),
    ({'eval.probe': 'needle:values=200'}, "'Ā' is not one token of bytes"),
    ({'eval.probe': 'recall', 'eval.lengths': '8,16'}, 'no room at length 16'),
    (
      {'eval.probe': 'recall', 'data.source': 'probe:needle'},
      "probe recall: its symbol '0' is not one token",
    ),
    (
      {'eval.probe': 'own',
       'data.source': 'mix:.2*probe:copy+.2*probe:needle+.6*sample'},
      'several probes: choose one of copy, needle',
    ),
  ],
)  # fmt: skip
def test_mistakes_are_named_before_the_first_run(
  tiny, tmp_path, changes, message
):
  with pytest.raises(ValueError, match=message) as e:
    sweep.sweep(config.override(tiny, changes), str(tmp_path / 'sweep'))
  assert '\n' not in str(e.value) and not (tmp_path / 'sweep').exists()


@pytest.mark.parametrize(
  'source, spec, want',
  [
    ('probe:copy', 'own', 'copy'),
    ('probe:copy', 'needle:values=4', 'needle:values=4'),
    ('mix:0.2*probe:needle:values=4+0.8*sample', 'own', 'needle:values=4'),
    ('sample', 'flipflop', 'flipflop'),
  ],
)
def test_which_probe_a_run_is_asked(tiny, source, spec, want):
  e = config.override(tiny, {'data.source': source})
  assert probe_table.probe_of(e, spec).label == want


def tables(folder, e, lengths=None):
  """What a run leaves that reaches REACHED, written by hand."""
  asked = probe_table.probe_of(e, e.eval.probe)
  path = probe_table.path(str(folder), asked)
  path.parent.mkdir(exist_ok=True)
  cells, reaches = [], []
  about = dict(encoding=e.model.rpe, run=runs.run_id(e), seed=e.seed)
  about |= dict(probe=asked.label, train_length=e.train.T, example_seed=0)
  about |= dict(step=e.train.steps, chance=asked.chance, examples=32)
  for n in lengths or e.eval.lengths:
    own = []
    for d in (d for d in STEPS if d < n):
      right = float(d <= REACHED[e.model.rpe])
      row = dict(about, length=n, distance=d, accuracy=right)
      own.append(row | dict(low=right, high=right, margin=right, nll=0.1))
    cells += own
    said = REACHED[e.model.rpe] // 2
    reaches.append(
      dict(about, length=n, **reach.of(own)._asdict(), predicted=said,
           predicted_low=said, predicted_high=said, why='')
    )  # fmt: skip
  table.write(path, cells)
  table.write(probe_table.of_reaches(path), reaches)


def test_a_run_without_its_probe_is_not_finished(tmp_path):
  e = with_probe(test_report.make(tmp_path, ('alibi',), (0,)), 'needle')
  sweep_grid.record(str(tmp_path), e)
  ((name, one),) = sweep_grid.experiments(e)
  folder = str(tmp_path / name)
  assert sweep_grid.evaluated_rows(folder, one) == []
  assert sweep_grid.status(folder, one).startswith('trained, not evaluated')
  tables(folder, one, one.eval.lengths[:-1])
  assert sweep_grid.evaluated_rows(folder, one) == []
  tables(folder, one)
  assert len(sweep_grid.evaluated_rows(folder, one)) == 3
  path = probe_table.path(folder, probe_table.probe_of(one, 'needle'))
  path.write_text(path.read_text().replace('alibi', 'none'))
  assert sweep_grid.evaluated_rows(folder, one) == []


def test_the_report_has_reach_beside_perplexity(tmp_path):
  e = test_report.make(tmp_path, tuple(REACHED), (0, 1))
  e = with_probe(e, 'needle')
  sweep_grid.record(str(tmp_path), e)
  for name, one in sweep_grid.experiments(e):
    tables(tmp_path / name, one)
    path = eval_table.path(str(tmp_path / name), one.eval)
    of_answers = dict(source='probe:needle', accuracy=0.75)
    of_answers |= dict(bits_per_byte=math.nan)
    table.write(path, [row | of_answers for row in table.read(path)])
  report.write(str(tmp_path))
  text = test_report.Page(tmp_path / 'report.html').text
  assert '200 answers of test examples, probe needle' in text
  assert 'Share of right answers' in text and '0.75 [0.75..0.75]' in text
  assert 'test text' not in text and 'full window' not in text
  assert 'Retrieval by length' in text and 'Probe needle, 32 needles' in text
  assert 'reach at 64' in text and 'predicted at 64' in text
  assert 'perplexity ratio' in text and '31 [31..31]' in text  # none, at 64
  assert "3 encodings: Spearman's rho +1.00" in ' '.join(text.split())
  cells = table.read(tmp_path / 'probe.csv')
  assert {row['encoding'] for row in cells} == set(REACHED)
  assert len(table.read(tmp_path / 'probe-reach.csv')) == 3 * 2 * 3
  assert (tmp_path / 'probe.png').stat().st_size > 20_000


def test_a_run_through_a_window_has_tables_of_its_own(tmp_path):
  e = with_probe(test_report.make(tmp_path, ('alibi',), (0,)), 'needle')
  ((name, one),) = sweep_grid.experiments(e)
  tables(tmp_path / name, one)
  through = config.override(one, {'eval.window': '8'})
  with pytest.raises(OSError, match='window-8'):
    probe_table.read(tmp_path / name, through)
  cells = probe_table.path(
    str(tmp_path / name), probe_table.probe_of(one, 'needle'), window='8'
  )
  full = probe_table.path(
    str(tmp_path / name), probe_table.probe_of(one, 'needle')
  )
  for of in (lambda path: path, probe_table.of_reaches):
    of(full).rename(of(cells))
  assert len(probe_table.read(tmp_path / name, through)[1]) == 3


@pytest.mark.parametrize('encodings', [2, 3])
def test_ranks_are_sentences(encodings):
  none = dict(length=64, rho=None, encodings=encodings)
  (said,) = probes._sentences([none, none])
  assert said.startswith(f'No rank correlation: theory judges {encodings} of')
  some = dict(length=32, rho=0.5, low=-0.5, high=1.0, encodings=4)
  assert len(probes._sentences([none, some])) == 2


def test_a_sweep_without_a_probe_has_no_such_part(tmp_path):
  test_report.make(tmp_path, ('alibi',), (0,))
  report.write(str(tmp_path))
  assert 'Retrieval' not in (tmp_path / 'report.html').read_text()
  assert not list(tmp_path.glob('probe*'))


@pytest.mark.slow
def test_a_sweep_measures_each_run_and_goes_on_where_it_stopped(
  tmp_path, monkeypatch
):
  c = conftest.tiny_config(tmp_path)
  e = with_probe(c, 'own', train__steps='2', train__valid_every='0',
                 data__source=f'probe:{NEEDLE}',
                 sweep__rpe='alibi,rotary')  # fmt: skip
  folder = tmp_path / 'sweep'
  rows = sweep.sweep(e, str(folder))
  assert len(rows) == 2 * 3
  cells = table.read(folder / 'probe.csv')
  assert {row['length'] for row in cells} == {8, 16, 64}
  assert {row['encoding'] for row in cells} == {'alibi', 'rotary'}

  def never(*args, **kw):
    raise AssertionError('done again')

  metrics = folder / 'rotary-s0' / 'metrics.jsonl'
  before = metrics.read_bytes()
  (path,) = (folder / 'rotary-s0').glob('eval/probe-*4-reach.csv')
  path.unlink()
  sweep.sweep(e, str(folder))
  assert len(table.read(path)) == 3
  assert metrics.read_bytes() == before  # not trained again
  monkeypatch.setattr(probe, 'evaluate', never)
  sweep.sweep(e, str(folder))
