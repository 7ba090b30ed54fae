"""What the benchmark claims of memory is exact, so it is a test."""

import csv
import pathlib
import subprocess
import sys
import textwrap

import pytest

from extrapolation.model import linear, transformer
from launch.benchmarks import jax_cases, jax_spaces, results, sweeps

ROOT = pathlib.Path(__file__).parents[1]

TRAIN = dict(B=8, T=512, N=6, D=256, H=8, F=1024, V=8192)


@pytest.mark.slow
def test_a_training_step_takes_two_fifths_of_the_plain_memory():
  code = f"""
    from launch.benchmarks import jax_cases
    for form in ('ours', 'plain'):  # plain changes the process for good
      print(jax_cases.train(form, **{TRAIN})[1]['temp_mb'])
  """
  run = [sys.executable, '-c', textwrap.dedent(code)]
  out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
  ours, plain = map(float, out.split())
  assert ours <= 0.40 * plain


@pytest.mark.slow
def test_a_command_runs_and_leaves_a_table(tmp_path):
  command = [sys.executable, 'launch/benchmark.py', 'attention']
  command += ['--rounds=1', '--lengths=32', '--batch=1', '--width=4']
  command += ['--seconds=0.01']
  command += ['--only=reference;blockwise', f'--out={tmp_path}']
  run = subprocess.run(command, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr[-2000:]
  rows = (tmp_path / 'attention.csv').read_text().splitlines()
  assert len(rows) == 1 + 2 * 2  # forward, and forward and backward


SIZE = dict(N=1, D=16, H=2, F=32, V=32)


@pytest.mark.slow
def test_plain_and_own_form_compute_the_same(monkeypatch):
  # What the plain form replaces, for its whole process.
  gelu = transformer.ACTIVATIONS['gelu']
  monkeypatch.setitem(transformer.ACTIVATIONS, 'gelu', gelu)
  monkeypatch.setattr(linear, 'dense', linear.dense)
  values = [
    (
      jax_cases.train(form, B=2, T=16, **SIZE)[0](),
      jax_cases.evaluate(form, T=16, **SIZE)[0](),
    )
    for form in ('ours', 'plain')
  ]
  assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_attention_over_a_grid_runs_and_counts_its_work():
  size = dict(size=[2, 4], B=1, H=2, K=4)
  run, about = jax_spaces.attend('blockwise', **size)
  run()
  assert about['flops'] == 3.5 * 4 * 8 * 8 * 2 * 4


@pytest.mark.parametrize(
  'make, args',
  [
    ('peak', dict(m=8, k=8, n=8)),
    ('bandwidth', dict(megabytes=1)),
    ('evaluate', dict(form='ours', T=16, window=[4, 8], **SIZE)),
    ('generation', dict(window=4, context=16, tokens=3, **SIZE)),
    ('attend', dict(implementation='nobias', B=1, T=8, H=2, K=4)),
    ('gated', dict(implementation='blockwise', B=1, T=8, H=2, K=4)),
  ],
)
def test_a_case_runs_and_counts_its_work(make, args):
  run, about = getattr(jax_cases, make)(**args)
  run()
  run()
  assert about.get('flops', about.get('bytes', 0)) > 0


# A sweep that counts its runs at home, and lets a child work for 0.1 s.
STANDIN = """
import pathlib, subprocess, sys, time
print(sys.argv[1:])
if '--config=bad.py' in sys.argv:
  sys.exit('error: no config file')
path = pathlib.Path('~/runs').expanduser()
path.write_text(str(int(path.read_text()) + 1) if path.exists() else '1')
work = 'import time\\nwhile time.process_time() < 0.1: pass'
subprocess.run([sys.executable, '-c', work], check=True)
"""


@pytest.fixture
def pair(tmp_path) -> tuple[sweeps.Checkout, sweeps.Checkout]:
  made = []
  for name in ('this', 'against'):
    package = tmp_path / name / 'extrapolation'
    package.mkdir(parents=True)
    (package / '__init__.py').touch()
    (package / 'sweep.py').write_text(STANDIN)
    home = tmp_path / f'home-{name}'
    made.append(sweeps.Checkout(name, package.parent, home))
  return tuple(made)


@pytest.mark.parametrize(
  'cache, states, runs',
  [
    ('first', ['fresh', 'fresh', 'warm', 'warm'], '2'),
    ('fresh', ['fresh'] * 4, '1'),
    ('warm', ['warm'] * 4, '3'),
  ],
)
def test_sweeps_alternate_and_are_paired(pair, cache, states, runs):
  rows = sweeps.compare(sweeps.Sweep('a.py'), pair, rounds=2, cache=cache)
  assert [r['checkout'] for r in rows] == ['this', 'against'] * 2
  assert [r['cache'] for r in rows] == states
  assert {(c.home / 'runs').read_text() for c in pair} == {runs}
  assert all(r['cpu_s'] >= 0.1 and r['wall_s'] >= 0.1 for r in rows)


def test_how_much_faster_is_said_of_medians_and_of_pairs():
  seconds = dict(this=[1, 2, 4], against=[3, 4, 6])
  rows = [
    dict(checkout=name, wall_s=s, cpu_s=2 * s)
    for name, values in seconds.items()
    for s in values
  ]
  text = sweeps.summary(rows)
  assert '2.00 times as fast by the medians' in text
  assert '2.00 by the median of the pairs (3.00, 2.00, 1.50)' in text


def test_a_sweep_that_fails_is_told(pair):
  with pytest.raises(
    ValueError, match='sweep of this .* code 1 .*\nerror: no c'
  ):
    sweeps.compare(sweeps.Sweep('bad.py'), pair, rounds=1, cache='first')


def test_a_commit_that_does_not_exist_is_told():
  with (
    pytest.raises(ValueError, match='--against=nope: fatal'),
    sweeps.checkouts('nope'),
  ):
    pass


def test_a_table_keeps_its_columns(tmp_path):
  path = tmp_path / 'a.csv'
  results.append(path, [dict(a=1, b=2)])
  results.append(path, [dict(a=3, b=4)])
  assert path.read_text().split() == ['a,b', '1,2', '3,4']
  with pytest.raises(ValueError, match='has the columns a, b'):
    results.append(path, [dict(a=3, c=4)])


CONFIG = """
from extrapolation import config


def get_config():
  c = config.base()
  c.model.update(rpe='alibi', N=1, D=16, H=2, F=16, dropout=0.0)
  c.optim.update(warmup=1)
  c.train.update(T=16, B=2, steps=2, valid_every=0, checkpoint_every=2)
  c.eval.update(lengths=(16,), tokens=64)
  return c
"""


@pytest.mark.slow
def test_two_commits_are_timed_and_recorded(tmp_path):
  (tmp_path / 'tiny.py').write_text(CONFIG)
  command = [sys.executable, 'launch/benchmark.py', 'sweep', '--against=HEAD']
  command += ['--rounds=1', f'--config={tmp_path}/tiny.py', '--rpe=alibi']
  command += ['--seeds=0', '--load', f'--out={tmp_path}']
  run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr[-2000:]
  assert 'by the median of the pairs' in run.stdout
  with (tmp_path / 'sweep.csv').open() as f:
    rows = list(csv.DictReader(f))
  assert [r['checkout'] for r in rows] == ['this', 'against']
  assert all(r['load'] == '1' and r['cache'] == 'fresh' for r in rows)
  assert (
    'against'
    not in subprocess.run(
      ['git', 'worktree', 'list'], cwd=ROOT, capture_output=True, text=True
    ).stdout
  )
