"""Tables of the study, on runs whose numbers are known."""

import dataclasses
import functools
import math

import pytest

from configs.study import matched, retrieval
from extrapolation import config
from extrapolation.output import figure, table
from extrapolation.predict import (
  AtLength,
  Predicted,
  Record,
  probe_table,
  study,
)
from extrapolation.report.summary import Run
from extrapolation.runs import identity
from launch import study_results
from launch.studies import (
  figures,
  probe_answers,
  probe_figures,
  recorded,
  sweeps,
  text_answers,
)
from launch.studies.sweeps import Sweep

L, N = 128, 512


@functools.cache
def experiment(rpe: str) -> config.Experiment:
  asked = {'model.rpe': rpe, 'eval.lengths': f'{L},{N}', 'eval.probe': ''}
  return config.load('configs/study/retrieval.py', asked)


def run(rpe: str, ratio: float, seed: int = 0, **kw) -> Run:
  e = dataclasses.replace(experiment(rpe), seed=seed)
  rows = [
    dict(rpe=rpe, seed=seed, length=n, ppl=p, train_length=L)
    for n, p in ((L, 5.0), (N, 5.0 * ratio))
  ]
  return Run(f'{rpe}-s{seed}', '', e, 'finished', rows, [], **kw)


def sweep(
  ratios: dict[str, list[float]],
  far: dict[str, float],
  cells: dict[str, list[dict]] | None = None,
) -> Sweep:
  """Ratios of the seeds of encodings, and their far mass if it is known."""
  runs = [
    run(name, r, seed, cells=(cells or {}).get(name, []))
    for name, of in ratios.items()
    for seed, r in enumerate(of)
  ]
  predicted = []
  for name in ratios:
    about = name, identity.run_id(experiment(name)), L
    if name in far:
      at = AtLength(N, far[name], 1 + far[name] / 10, 0.9, 1.1, 3, 1, 9)
      predicted.append(Predicted(*about, [at]))
    else:
      predicted.append(Predicted(*about, why='x', order='tight'))
  made = Record('t', 'v', 'c', {}, dict(level=0.9), predicted)
  return Sweep('q', 'books', runs, made)


def test_far_mass_sorts_and_ranks():
  s = sweep(
    {
      'none': [1.08, 1.07, 1.09],
      'alibi': [1.00, 1.01, 0.99],
      'type1': [1.02, 1.03, 1.02],
      'harmonic': [1.04, 1.05, 1.05],
      'rotary': [2.0, 2.5, 3.0],
    },
    dict(none=0.8, alibi=0.1, type1=0.2, harmonic=0.4),
  )
  rows, said = text_answers.far_mass([s])
  # What has no number comes first: '-' is before every digit.
  names = [row['encoding'].strip('`') for row in rows]
  assert names == ['rotary', 'alibi', 'type1', 'harmonic', 'none']
  assert rows[1]['books'] == '1.000 [0.990..1.010]'
  assert rows[0]['predicted'] == 'tight'
  assert said == ['books: +1.00 [+1.00..+1.00], 4 encodings']


def test_one_head_does_its_share():
  power = ['power'] * 4
  labels = ['+'.join(power[n:] + ['none'] * n) for n in (0, 1, 4)]
  ratios = {
    x: [math.exp(i / 100)] for x, i in zip(labels, (0, 1, 4), strict=True)
  }
  far = {x: r[0] for x, r in ratios.items()}
  _, said = text_answers.one_head([sweep(ratios, far)])
  assert said[-1] == 'one divergent head does 25% of what four do, in nats'


def test_rates_are_judged_in_two_groups():
  both = (*matched.EQUAL_FAR_MASS, *matched.EQUAL_RATE)
  ratios = {x: [1 + i / 100] for i, x in enumerate(both)}
  far = dict.fromkeys(matched.EQUAL_FAR_MASS, 0.2)
  far |= {x: i / 10 for i, x in enumerate(matched.EQUAL_RATE)}
  rows, said = text_answers.rate([sweep(ratios, far)])
  assert [row['rate'] for row in rows[4:]] == ['2.00'] * 4
  assert 'equal far mass: they differ by 0.0300 at most' in said
  assert 'equal rate: rho with what differs +1.00, of four' in said


def test_predictions_are_counted():
  far = dict(none=0.8, alibi=0.1, type1=0.2, harmonic=0.4)
  s = sweep({x: [1 + f / 10] for x, f in far.items()}, far)
  out = Sweep(*s[:2], [*s.runs, run('exp_sqrt', 1.0)], s.made)
  rows, said = text_answers.out_of_sample([out])
  assert rows[0]['encodings'] == '4'
  assert said == [
    '4 of 4 (100%) inside with all seeds and lengths; median miss 0.000 nats'
  ]
  worse = sweep({x: [1.2] for x in far}, far)
  assert '0 of 4' in text_answers.out_of_sample([worse])[1][0]


def cells(costs: dict[tuple[int, int], float], accuracy: float) -> list[dict]:
  return [
    dict(length=n, distance=t, accuracy=accuracy, margin=-c, cost=c)
    for (n, t), c in costs.items()
  ]


def test_what_lacks_is_that_of_the_config():
  """As theory says it of alibi, where the prediction of question b has it."""
  costs = {(L, L - 1): 5.1105, (256, 1): 1.7587, (N, N - 1): 7.4}
  s = sweep({'alibi': [1.0]}, {}, dict(alibi=cells(costs, 1.0)))
  lacks = probe_answers.lacks(s, 'alibi', 256, 1)
  assert lacks is not None
  line = next(x for x in retrieval.__doc__.splitlines() if 'alibi,' in x)
  assert f'{lacks:.2f}' == line.split()[2] == '-3.35'


def test_accuracy_is_counted_by_cost(tmp_path):
  rows = [
    dict(encoding=name, length=9216, distance=t, accuracy=a, cost=c)
    for name, t, a, c in (
      ('alibi', 1, 1.0, 2.0), ('alibi', 1, 0.5, 2.0), ('alibi', 9, 0.2, 30.0),
      ('rotary', 1, 0.1, ''), ('rotary', 9, 0.0, ''), ('rotary', 5, 0.0, ''),
    )
  ]  # fmt: skip
  shown, said = probe_answers.costs(rows)
  assert shown[0] == {
    'encoding': '`alibi`',
    '1': '0.75 (2.0)',
    '9': '0.20 (30.0)',
  }
  assert shown[1]['9'] == '0.00'
  assert said == [
    'cost 0 to 9 nats: accuracy 0.75, 2 cells',
    'cost 20 to 99 nats: accuracy 0.20, 1 cells',
  ]
  probe_figures.costs(tmp_path / 'b.png', rows)
  assert (tmp_path / 'b.png').stat().st_size > 1000


def test_a_sweep_becomes_a_study_that_a_law_reads(tmp_path):
  s = sweep(
    dict(alibi=[1.1, 1.2], none=[1.3, 1.4]),
    {},
    {
      x: cells({(N, t): 1.0 for t in (1, N - 1)}, 1.0)
      for x in ('alibi', 'none')
    },
  )
  where = dict(run='r', step=300, examples=32, example_seed=0, chance=0.5)
  for one in s.runs:
    where['run'] = one.name
    for row in one.cells:
      row |= where | dict(encoding=one.label, window='full')
  s = s._replace(question='retrieval')
  longer = dict(s.runs[0].cells[0], length=4 * N, accuracy=0.0)
  wrote = list(recorded.write(tmp_path, s, [longer]))
  assert {path.name for path in wrote} == {'sweep.csv', 'probe.csv'}
  folder = tmp_path / 'retrieval-books'
  read = study.read(str(folder))
  assert read.e.data.source == 'files:DIR/books/*.txt.xz'
  assert [round(math.exp(x.nats), 3) for x in read.outcomes] == [
    1.1, 1.2, 1.3, 1.4,
  ]  # fmt: skip
  assert recorded.beyond(tmp_path, s) == [
    {k: v for k, v in longer.items() if k != 'window'}
  ]
  # What no run has stays; what runs have anew is replaced.
  s.runs[1].cells[0]['accuracy'] = 0.25
  list(recorded.write(tmp_path, s))
  rows = table.read(folder / 'probe.csv')
  assert len(rows) == 9
  assert sorted(row['accuracy'] for row in rows)[:2] == [0.0, 0.25]
  asked = probe_table.asked(str(folder))
  assert {name: len(of) for name, of in asked.items()} == dict(alibi=3, none=2)


def test_good_at_both_takes_both():
  costs = {(L, L - 1): 5.0, (N, N - 1): 7.0}
  names = 'alibi', 'none', 'type1', 'harmonic'
  found = dict(zip(names, (1.0, 1.0, 0.2, 0.2), strict=True))
  needles = sweep(
    {x: [1.0] for x in names}, {}, {x: cells(costs, found[x]) for x in names}
  )
  text = sweep(dict(alibi=[1.0], none=[1.1], type1=[1.01], harmonic=[1.02]), {})
  rows, said = probe_answers.both(text, needles)
  kinds = [row['good at'] for row in rows]
  assert kinds == ['both', 'needles', 'text', 'neither']
  assert said == ['good at both: alibi']


def test_rho_of_equal_values_is_undefined():
  assert sweeps.rho([[(0.0, 1.0)]] * 4) == 'undefined'


def test_figures_are_drawn(tmp_path):
  far = dict(none=0.8, alibi=0.1, type1=0.2, harmonic=0.4)
  s = sweep({x: [1 + f / 10, 1.1] for x, f in far.items()}, far)
  figures.far_mass(tmp_path / 'a.png', [s, s])
  figures.one_head(tmp_path / 'e.png', s)
  figures.settings(tmp_path / 'd.png', s)
  figures.out_of_sample(tmp_path / 'f.png', [s])
  assert len(list(tmp_path.glob('*.png'))) == 4


def test_the_figure_of_needles_has_what_cells_say(monkeypatch, tmp_path):
  """Margins by window, accuracies by distance, reach against prediction."""
  costs = {(n, t): 10.0 * n + t for n in (L, N) for t in (1, n - 1)}
  far = dict(none=0.8, alibi=0.1)
  s = sweep(
    {x: [1.0] for x in far}, far,
    dict(none=cells(costs, 0.9), alibi=cells(costs, 0.4)),
  )  # fmt: skip
  reach = [dict(length=L, reach=2), dict(length=N, reach=77)]
  runs = [dataclasses.replace(run, reaches=reach) for run in s.runs]
  pages = []
  monkeypatch.setattr(figure, 'save', lambda page, path: pages.append(page))
  probe_figures.retrieval(tmp_path / 'b.png', s._replace(runs=runs))
  near, away, at = pages[0].axes
  by_name = {line.get_label(): line for line in near.get_lines()}
  assert list(by_name) == [*far]
  margins = [[*line.get_ydata()] for line in by_name.values()]
  assert margins == [[-10 * L - 1, -10 * N - 1]] * 2
  assert [[*line.get_ydata()] for line in away.get_lines()] == [
    [0.9, 0.9], [0.4, 0.4],
  ]  # fmt: skip
  assert [*away.get_lines()[0].get_xdata()] == [1, N - 1]
  # Predicted is 3, measured 77, of both; the last line is that of equality.
  marks = [tuple(zip(*x.get_data(), strict=True)) for x in at.get_lines()]
  assert marks.count(((3, 77),)) == 2 and marks[-1] == ((0, 0), (N, N))


def test_a_folder_without_sweeps_is_refused(tmp_path):
  with pytest.raises(ValueError, match='holds no sweep'):
    study_results.main([f'--workdir={tmp_path}', f'--out={tmp_path / "out"}'])
  assert not (tmp_path / 'out').exists()


def test_markdown_has_every_column():
  text = study_results.markdown([{'a': '1'}, {'a': '2', 'b': '3'}])
  assert text.splitlines() == [
    '| a | b |', '| --- | --- |', '| 1 | - |', '| 2 | 3 |',
  ]  # fmt: skip


def test_tables_of_a_page_are_replaced_and_nothing_else():
  page = 'x\n<!-- table: a -->\nold\n<!-- end -->\ny <!-- end -->'
  new = study_results.paged(page, 'a', '| 1 |')
  assert new == 'x\n<!-- table: a -->\n\n| 1 |\n\n<!-- end -->\ny <!-- end -->'
  assert study_results.paged(new, 'a', '| 1 |') == new
  assert study_results.paged(page, 'b', '| 1 |') == page
  with pytest.raises(ValueError, match='no <!-- end --> follows'):
    study_results.paged('<!-- table: a -->\n', 'a', '')
