"""Sweeps: what runs, what is skipped, what a failure costs."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from extrapolation import config, runs, sweep, train
from extrapolation.output import files, table
from extrapolation.runs import eval_table, sweep_grid
from tests import chaos

ROOT = pathlib.Path(__file__).parent.parent


def with_(c, **overrides):
  return config.override(c, {'sweep.' + k: v for k, v in overrides.items()})


def test_the_grid_is_encodings_by_seeds(tiny):
  c = with_(tiny, rpe='alibi,power:exponent=0.5,window', seeds='3,4')
  grid = list(sweep_grid.experiments(c))
  assert [name for name, _ in grid] == [
    'alibi-s3', 'power-exponent=0.5-s3', 'window-s3',
    'alibi-s4', 'power-exponent=0.5-s4', 'window-s4',
  ]  # fmt: skip
  assert [one.model.rpe for _, one in grid][:3] == ['alibi', 'power', 'window']
  assert grid[1][1].model.rpe_args['exponent'] == 0.5
  assert [one.seed for _, one in grid] == [3, 3, 3, 4, 4, 4]


def test_an_evaluation_of_an_earlier_step_is_no_result(tiny, tmp_path):
  files.write_json(tmp_path / 'config.json', tiny.to_dict())
  path = eval_table.path(str(tmp_path), tiny.eval)
  path.parent.mkdir()
  steps = tiny.train.steps
  for step, count in ((steps - 1, 0), (steps, len(tiny.eval.lengths))):
    rows = [dict(length=n, step=step) for n in tiny.eval.lengths]
    table.write(path, rows)
    assert len(sweep_grid.evaluated_rows(str(tmp_path), tiny)) == count
    table.write(path, rows[:-1])
    assert sweep_grid.evaluated_rows(str(tmp_path), tiny) == []


@pytest.mark.parametrize(
  'value, message',
  [
    ('alibi,nope', "no encoding 'nope'"),
    ('alibi:exponent=2', 'model.rpe_args.exponent'),
    ('power:exponent=x', 'exponent.*needs float'),
    ('', "no encoding ''"),
    ('alibi,none,alibi', "run 'alibi-s0' is given twice"),
  ],
)
def test_a_mistake_in_the_grid_stops_before_the_first_run(
  tiny, tmp_path, value, message
):
  with pytest.raises(ValueError, match=message):
    sweep.sweep(with_(tiny, rpe=value), str(tmp_path / 'sweep'))
  assert not (tmp_path / 'sweep').exists()


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--config.train.T=-5'], 'train.T'),
    (['--config.eval.window=foo'], "window 'foo': needs full"),
    (['--config.eval.split=foo'], "eval.split = 'foo'; there are: train"),
    (['--config.eval.tokens=-1'], 'eval.tokens = -1'),
    (['--config.sweep.seeds=0,0'], "-s0' is given twice"),
    (['--run=foo'], "no run 'foo' in this sweep"),
    (['--lease=nan'], 'lease = nan'),
  ],
)
def test_a_dry_run_refuses_what_the_sweep_refuses(tmp_path, flags, message):
  folder = tmp_path / 'sweep'
  argv = ['--config=configs/demo.py', f'--workdir={folder}', *flags]
  for more in (['--dry_run'], []):
    with pytest.raises(ValueError, match=message):
      sweep.main([*argv, *more])
  assert not folder.exists()


def test_a_dry_run_lists_the_runs_asked_for(tmp_path, capsys):
  argv = ['--config=configs/demo.py', f'--workdir={tmp_path}', '--dry_run']
  sweep.main([*argv, '--run=alibi-s0'])
  assert capsys.readouterr().out.split()[0] == f'{tmp_path}/alibi-s0'


def test_a_sweep_reports_and_the_second_call_skips(tiny, tmp_path, capsys):
  c = with_(tiny, rpe='alibi,none', seeds='0,1')
  folder = tmp_path / 'sweep'
  sweep.sweep(c, str(folder))
  out = capsys.readouterr().out
  assert '[4/4] none-s1' in out and 'left' in out
  assert 'median [min..max] of 2 seeds' in out
  rows = table.read(folder / 'sweep.csv')
  assert len(rows) == 2 * 2 * 3
  assert len({row['tokens'] for row in rows}) == 1
  assert (folder / 'sweep.png').stat().st_size > 10_000

  trained = (folder / 'alibi-s0' / 'metrics.jsonl').stat().st_mtime_ns
  first = (folder / 'sweep.csv').read_text()
  sweep.sweep(c, str(folder))
  assert capsys.readouterr().out.count('finished, skipped') == 4
  assert (folder / 'alibi-s0' / 'metrics.jsonl').stat().st_mtime_ns == trained
  assert (folder / 'sweep.csv').read_text() == first


def test_more_encodings_and_lengths_cost_only_themselves(
  tiny, tmp_path, monkeypatch
):
  folder = str(tmp_path / 'sweep')
  sweep.sweep(with_(tiny, rpe='alibi'), folder)
  steps = []
  real = runs.Metrics.write
  monkeypatch.setattr(
    runs.Metrics,
    'write',
    lambda m, step, **v: (steps.append(step), real(m, step, **v)),
  )
  rows = sweep.sweep(with_(tiny, rpe='alibi,none'), folder)
  assert steps == [1, 2, 3, 4, 5, 6] and len(rows) == 6
  more = config.override(
    with_(tiny, rpe='alibi,none'), {'eval.lengths': '8,32'}
  )
  rows = sweep.sweep(more, folder)
  assert len(steps) == 6 and {row['length'] for row in rows} == {8, 32}
  with pytest.raises(ValueError, match='optim.lr: 0.01 -> 0.5'):
    sweep.sweep(config.override(more, {'optim.lr': '0.5'}), folder)


def test_a_failed_run_is_reported_and_the_others_finish(
  tiny, tmp_path, monkeypatch, capsys
):
  real = train.train

  def fails(e, workdir, lease=None, check_text=None):
    if e.model.rpe == 'type1':
      raise FloatingPointError('loss is nan at step 3')
    return real(e, workdir, lease)

  monkeypatch.setattr(train, 'train', fails)
  c = with_(tiny, rpe='type1,alibi')
  with pytest.raises(
    ValueError, match='1 of 2 runs failed.*\n.*type1-s0: Float'
  ):
    sweep.sweep(c, str(tmp_path / 'sweep'))
  rows = table.read(tmp_path / 'sweep' / 'sweep.csv')
  assert {row['rpe'] for row in rows} == {'alibi'}


def test_a_folder_that_cannot_be_written_in_is_said(tiny, tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(OSError, match="cannot write in '.*file.*another --work"):
    sweep.sweep(with_(tiny, rpe='alibi'), str(tmp_path / 'file' / 'sweep'))


def once(sweep: chaos.Sweep, names, steps: int, every: int) -> int:
  """Every run done exactly once, by one worker at a time; takings-up."""
  losses = sweep.losses()
  assert sorted(losses) == sorted(names)
  for name, rows in losses.items():
    assert [step for step, _ in rows] == [*range(1, steps + 1)], name
  log = '\n'.join(sweep.lines())
  # A save goes on while steps do, and the next save waits for it.
  return chaos.verify_log(log, names, steps, every, 2 * every)


@pytest.mark.slow
def test_two_workers_share_a_sweep_and_take_up_the_run_of_a_killed_one(
  tiny, tmp_path
):
  c = config.override(
    with_(tiny, rpe='alibi', seeds='0,1'),
    {'train.steps': '60', 'train.checkpoint_every': '10',
     'train.valid_every': '0', 'eval.lengths': '8,16'},
  )  # fmt: skip
  sweep = chaos.Sweep(tmp_path, c, 60.0)
  workers = [sweep.start(), sweep.start()]
  sweep.wait_for(15, workers)
  last = int(sweep.lines()[-1].split()[3])
  hit = next(w for w in workers if w.pid == last)
  hit.kill()
  hit.communicate()
  workers[workers.index(hit)] = sweep.start()
  for worker in workers:
    out = worker.communicate()[0]
    assert worker.returncode == 0, out
    assert out.count('report.html') == 1
  assert once(sweep, ['alibi-s0', 'alibi-s1'], 60, 10) == 1
  assert 'Missing' not in (sweep.folder / 'report.html').read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('where', ['here', 'elsewhere'])
def test_two_workers_with_many_kills_do_what_one_does_undisturbed(
  tiny, tmp_path, where
):
  c = config.override(
    with_(tiny, rpe='alibi,kerple_log,type1', seeds='0,1'),
    {'train.steps': '240', 'train.checkpoint_every': '12',
     'train.valid_every': '0'},
  )  # fmt: skip
  for name in ('alone', 'two'):
    (tmp_path / name).mkdir()
  alone = chaos.Sweep(tmp_path / 'alone', c, 60.0)
  worker = alone.start()
  out = worker.communicate()[0]
  assert worker.returncode == 0, out
  sweep = chaos.Sweep(tmp_path / 'two', c, 4.0, where)
  killed, slept, out = chaos.kill_at_random(
    sweep, 20, seed=1, most=60, notices=0.3,
    pauses=0.25 if where == 'elsewhere' else 0.0,
  )  # fmt: skip
  names = [name for name, _ in sweep_grid.experiments(c)]
  taken = once(sweep, names, 240, 12)
  print(where, killed, 'killed', slept, 'slept', taken, 'taken up')
  print(chaos.summary(sweep.folder))
  assert killed >= 8 and taken >= 5
  assert sweep.losses() == alone.losses()
  assert sweep.rows() == alone.rows()


NEW = '''
import jax.numpy as jnp
from extrapolation.rpe import base


def make(H: int, offset: float = 2.0) -> base.RPE:
  """Made up: bias = -sqrt(offset + k_h t)."""
  return base.scaled(H, lambda x: -jnp.sqrt(offset + x), 'a test')
'''


@pytest.mark.slow
def test_a_new_encoding_is_one_file(tmp_path):
  """It is in the help, the errors, the sweep, the config and under the laws."""
  for name in ('extrapolation', 'configs', 'tests', 'pyproject.toml'):
    copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
    copy(ROOT / name, tmp_path / name)
  (tmp_path / 'extrapolation' / 'rpe' / 'brand_new.py').write_text(NEW)

  def python(*argv):
    done = subprocess.run([sys.executable, *argv], cwd=tmp_path, check=False,
                          capture_output=True, text=True)  # fmt: skip
    return done.stdout + done.stderr

  run = ['-m', 'extrapolation.sweep', '--config=configs/demo.py', '--workdir=x']
  assert 'brand_new' in python('-m', 'extrapolation.train', '--help')
  assert 'brand_new' in python(*run, '--config.model.rpe=nope')
  args = ['--dry_run', '--config.model.rpe=brand_new']
  args += ['--config.model.rpe_args.offset=3', '--config.sweep.rpe=all']
  assert 'brand_new-s0' in python(*run, *args)
  laws = python(
    '-m', 'pytest', 'tests/rpe/test_laws.py', '-n0', '-q', '-k', 'brand_new'
  )
  assert '15 passed' in laws, laws
