"""The page of a sweep: complete, self-contained, honest on what is missing."""

import html.parser
import json
import math
import pathlib

import jax
import numpy as np
import pytest

from extrapolation import config, report, rpe
from extrapolation.output import files, signed, table
from extrapolation.predict import record, registration
from extrapolation.report import __main__ as command
from extrapolation.report import page as pages
from extrapolation.report import theory_vs_measured
from extrapolation.runs import eval_table, sweep_grid

LENGTHS = (8, 16, 64)
# Perplexity at the longest length over that at 16, by encoding and seed.
RATIOS = {
  'alibi': (0.99, 1.0),
  'type1': (1.01, 1.03),
  'kerple_log': (1.2, 1.0),
  'harmonic': (1.1, 1.3),
  'none': (1.4, 1.5),
  'sinusoidal': (3.0, 2.0),
}
R1 = {0: 0.5, 1: 2.0}  # what kerple_log learned: seed 0 diverges, 1 converges


def make(
  folder: pathlib.Path, names=tuple(RATIOS), seeds=(0, 1), predicted=False
):
  """A finished sweep as its files are, with no training."""
  c = config.base()
  c.model.update(H=2)
  c.train.update(T=16, steps=20)
  c.optim.warmup = 2
  c.eval.update(lengths=LENGTHS)
  c.sweep.update(rpe=','.join(names), seeds=seeds)
  sweep = config.override(c, {})
  sweep_grid.record(str(folder), sweep)
  if predicted:
    registration.register(str(folder), sweep)
  for name, one in sweep_grid.experiments(sweep):
    path = folder / name
    path.mkdir()
    files.write_json(path / 'config.json', one.to_dict())
    with open(path / 'metrics.jsonl', 'w') as f:
      for step in (10, 20):
        row = dict(step=step, loss=4 / step, valid_loss=5 / step)
        f.write(json.dumps(row) + '\n')
    encoding = rpe.get(one.model.rpe, 2)
    params = encoding.init(jax.random.key(0))
    first = {k: np.asarray(v).tolist() for k, v in params.items()}
    last = {k: [R1[one.seed]] * 2 for k in first}
    about = dict(name=one.model.rpe, H=2, hyper={}, train_length=16)
    files.write_json(path / 'rpe.json', {**about, 'init': first, 'final': last})
    eval_table.path(str(path), one.eval).parent.mkdir()
    ratio = RATIOS[one.model.rpe][seeds.index(one.seed)]
    rows = []
    for n in LENGTHS:
      value = 10.0 * (ratio if n == max(LENGTHS) else 1)
      about = dict(rpe=one.model.rpe, seed=one.seed, train_length=16)
      about |= dict(split='test', protocol='nonoverlap', step=20, length=n)
      about |= dict(ppl=value, ppl_last=value, bits_per_byte=2.5, tokens=200)
      rows.append({**about, 'commit': 'abc', 'device': 'cpu', 'versions': '1'})
    table.write(eval_table.path(str(path), one.eval), rows)
  return sweep


class Page(html.parser.HTMLParser):
  """Tags, their addresses and the text of a page; fails on bad nesting."""

  def __init__(self, path):
    super().__init__()
    self.tags, self.sources, self.open, self.text = [], [], [], ''
    self.feed(path.read_text())
    assert not self.open, self.open

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.sources += [v for k, v in attrs if k in ('src', 'href', 'srcset')]
    if tag not in ('meta', 'img'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text += ' ' + data


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp('sweep')
  make(folder, predicted=True)
  report.write(str(folder))
  return folder


def test_the_page_needs_nothing_else(made):
  page = Page(made / 'report.html')
  assert not {'script', 'link', 'iframe'} & set(page.tags)
  assert page.tags.count('img') == 5
  assert all(s.startswith('data:image/svg+xml;base64,') for s in page.sources)


def test_the_page_says_what_was_measured_and_learned(made):
  text = Page(made / 'report.html').text
  assert '12 of 12 runs finished' in text and 'Missing' not in text
  assert '14.50 [14.00..15.00]' in text  # none at 64
  assert '1.450 [1.400..1.500]' in text  # and its ratio
  assert 'r1' in text and '0.5 0.5' in text and 'kerple_log-s1' in text
  assert 'data.source' not in text.split('Config: what differs')[1][:400]
  assert 'train.T: 512 -> 16' in text and '"B": 128' in text
  assert 'order enters through embed, not through weights' in text
  rows = table.read(made / 'sweep.csv')
  assert len(rows) == 12 * 3 and (made / 'sweep.png').exists()


def test_there_are_no_bits_per_byte_without_bytes(made):
  rows = table.read(made / 'sweep.csv')
  for bits, shown in ((2.0, True), (math.nan, False)):
    rows = [row | dict(bits_per_byte=bits) for row in rows]
    assert ('Bits per byte' in ''.join(pages._lengths(rows))) == shown


def test_the_page_scores_what_was_predicted_before_training(made):
  text = Page(made / 'report.html').text
  for said in (
    'What was predicted before training',
    "Rank: Spearman's rho of predicted with measured ratios",
    'Calibration: the measured ratio lies in the 90 % interval for',
    f'SHA-256 of the prediction: {record.read(made).sha256}',
    'order enters through embed, not through weights alone',
  ):
    assert said in text


def test_the_same_sweep_gives_the_same_bytes(tmp_path):
  make(tmp_path, names=('alibi',), seeds=(0,))
  report.write(str(tmp_path))
  before = (tmp_path / 'report.html').read_bytes()
  report.write(str(tmp_path))
  assert (tmp_path / 'report.html').read_bytes() == before


def test_theory_is_of_what_each_seed_learned(made):
  runs = [r for r in report.read(str(made)) if r.rows]
  found = {
    e.name: e
    for e in theory_vs_measured.encodings(
      [(r.label, r.folder, r.rows) for r in runs]
    )
  }
  assert found['sinusoidal'].why and not found['none'].why
  kerple = found['kerple_log']
  assert [s.verdict for s in kerple.seeds] == ['diverges', 'converges']
  assert kerple.trf == math.inf and math.isfinite(kerple.seeds[1].trf)
  assert [s.ratio for s in kerple.seeds] == pytest.approx([1.2, 1.0])
  assert found['none'].ratio == pytest.approx(1.45)
  text = '\n'.join(theory_vs_measured.sentences(list(found.values())))
  # 2 converge (0.995, 1.02), 3 do not (1.1, 1.2, 1.45): 6 of 6 pairs.
  assert '(2 encodings): median ratios from 0.995 to 1.020' in text
  assert '(3 encodings): median ratios from 1.100 to 1.450' in text
  assert 'Verdict: in 100% of the pairs' in text
  assert 'permutation p = 0.100' in text  # 1 of 5! / 2! 3!
  assert 'not counted below: sinusoidal' in text
  # No weight falls with distance: 48 of 64 keys are beyond 16.
  assert found['none'].far == pytest.approx(0.75)
  assert found['alibi'].far < found['harmonic'].far < 0.75
  assert text.count('Share of weight beyond the training length') == 2
  few = theory_vs_measured.sentences(
    [found['none'], found['alibi'], found['type1']]
  )
  assert 'too few to rank' in few[-1] and not any('tau' in s for s in few)


@pytest.mark.parametrize(
  ('name', 'verdict', 'argument'),
  [
    ('alibi', 'converges', '-b/ln t -> inf'),
    ('stick_breaking', 'tight', 'every head of every layer is tight'),
    ('none*ssmax/alibi', 'not tight', 'layer 1, none*ssmax: not tight'),
    ('rotary', 'not judged', 'order enters through rotate'),
  ],
)
def test_where_there_is_no_sum_it_is_judged_by_windows(
  name, verdict, argument, tmp_path
):
  about = dict(name=name, H=2, hyper={}, train_length=8, init={}, final={})
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  why, seed = theory_vs_measured._judge(str(tmp_path), 1.5, 16)
  one = theory_vs_measured.Encoding(name, [seed], why)
  assert one.verdicts == verdict
  assert one.argument.startswith(argument)


def test_a_statistic_that_is_undefined_is_not_given():
  seeds = [theory_vs_measured.Seed('converges', 7.0, 0.1, 1.5, 'a proof')] * 2
  same = [theory_vs_measured.Encoding(f'e{i}', seeds) for i in range(4)]
  text = '\n'.join(theory_vs_measured.sentences(same))
  assert text.count('undefined (all values are equal)') == 4
  assert 'nan' not in text and 'Verdict' not in text


def test_a_head_that_differs_is_told():
  one = dict(verdict='converges', trf={'0.01': dict(low=7, high=9)})
  heads = [one, dict(one, trf={'0.01': dict(low=5, high=5)})]
  for h, far in zip(heads, (0.1, 0.3), strict=True):
    h.update(argument='a proof', horizon=dict(far_mass=far))
  assert theory_vs_measured._seed(heads, 1.5) == theory_vs_measured.Seed(
    'converges', 7.0, 0.2, 1.5, 'a proof'
  )
  heads.append(
    dict(
      verdict='diverges', argument='b -> 0', horizon=dict(far_mass=None),
      trf={'0.01': dict(low=None, high=None)},
    )
  )  # fmt: skip
  seed = theory_vs_measured._seed(heads, 1.5)
  assert seed.verdict == '2 of 3 heads: converges, 1 of 3 heads: diverges'
  assert seed.trf == math.inf and seed.argument == 'b -> 0'
  assert math.isnan(seed.far)
  unknown = dict(one, verdict='unknown', trf={})
  assert math.isnan(theory_vs_measured._seed([one, unknown], 1.5).trf)


def test_the_ratio_starts_at_the_training_length():
  rows = [
    dict(train_length=16, length=n, ppl=p)
    for n, p in ((8, 9.0), (16, 4.0), (64, 6.0))
  ]
  assert theory_vs_measured.ratio(rows) == (1.5, 16, 64)
  assert theory_vs_measured.ratio(rows[::2]) == (
    6 / 9,
    8,
    64,
  )  # the nearest there is


def test_an_unfinished_sweep_says_what_is_missing(tmp_path, capsys):
  make(tmp_path, names=('alibi', 'none', 'kerple_log'), seeds=(0,))
  for path in (tmp_path / 'alibi-s0').glob('eval/*'):
    path.unlink()
  cut = tmp_path / 'none-s0' / 'metrics.jsonl'
  cut.write_text(cut.read_text().splitlines()[0] + '\n{"step": 2')
  (tmp_path / 'none-s0' / 'eval' / 'test-nonoverlap.csv').unlink()
  sweep_grid.fail(
    str(tmp_path / 'none-s0'), FloatingPointError('loss is <nan>')
  )
  report.write(str(tmp_path))
  page = Page(tmp_path / 'report.html')
  assert '1 of 3 runs finished' in page.text
  for line in (
    'alibi-s0: trained, not evaluated at all lengths',
    'none-s0: failed: FloatingPointError: loss is <nan>',
  ):
    assert line in page.text and line in capsys.readouterr().out + page.text
  assert 'too few to rank' in page.text


def test_what_a_run_folder_says_is_shown_and_not_obeyed(tmp_path):
  attack = '<script>alert("1")</script><img src=x onerror=alert(1)>'
  e = make(tmp_path, names=('kerple_log', 'none'), seeds=(0,))
  whole, failed = (tmp_path / name for name in ('kerple_log-s0', 'none-s0'))
  path = eval_table.path(str(whole), e.eval)
  table.write(path, [{**r, 'commit': attack} for r in table.read(path)])
  known = signed.read(whole / 'rpe.json')
  known['init'] = {attack: [1.0, 2.0]}
  signed.write(whole / 'rpe.json', known)
  eval_table.path(str(failed), e.eval).unlink()
  (failed / 'metrics.jsonl').unlink()
  sweep_grid.fail(str(failed), ValueError(attack))
  for folder in (tmp_path / 'sweep.json', *tmp_path.glob('*/config.json')):
    values = signed.read(folder)
    values['data']['source'] = f'files:{attack}'
    signed.write(folder, values)
  report.write(str(tmp_path))
  page = Page(tmp_path / 'report.html')
  assert 'script' not in page.tags
  assert all(s.startswith('data:image/svg+xml') for s in page.sources)
  for said in (f'ValueError: {attack}', f'data.source: {"sample"!r} -> '):
    assert said in page.text
  assert page.text.count(attack) >= 5


def test_a_sweep_with_nothing_finished_has_a_page_and_no_table(
  tmp_path, capsys
):
  c = make(tmp_path, names=('alibi', 'none'), seeds=(0,))
  for name, _ in sweep_grid.experiments(c):
    for path in sorted((tmp_path / name).rglob('*'), reverse=True):
      path.rmdir() if path.is_dir() else path.unlink()
  report.write(str(tmp_path))
  assert 'alibi-s0: not begun' in Page(tmp_path / 'report.html').text
  assert 'none-s0: not begun' in capsys.readouterr().out
  assert not (tmp_path / 'sweep.csv').exists()


def test_a_folder_of_no_sweep_is_refused_and_left_alone(tmp_path):
  for folder in (tmp_path, tmp_path / 'absent'):
    with pytest.raises(ValueError, match='not the folder of a sweep'):
      command.main([f'--workdir={folder}'])
  assert list(tmp_path.iterdir()) == []


def test_a_sweep_made_before_sweep_json_is_read_from_its_runs(tmp_path):
  make(tmp_path, names=('alibi', 'none'), seeds=(0,))
  (tmp_path / 'sweep.json').unlink()
  assert [r.name for r in report.read(str(tmp_path))] == ['alibi-s0', 'none-s0']
