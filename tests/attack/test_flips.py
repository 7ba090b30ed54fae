"""Bytes of a run and of a sweep, flipped and cut: never other numbers."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from extrapolation import config, evaluate, report, runs, sweep
from extrapolation.output import table
from extrapolation.runs import eval_table, run_folder, sweep_grid
from extrapolation.theory import trained as theory
from tests.attack import bytes as attack
from tests.conftest import tiny_config


@pytest.fixture(scope='module')
def evaluated(trained, tmp_path_factory):
  folder = tmp_path_factory.mktemp('evaluated') / 'run'
  shutil.copytree(trained, folder)
  evaluate.evaluate(str(folder))
  for step in ('2', '4'):  # so that nothing is there to fall back on
    shutil.rmtree(folder / 'checkpoints' / step)
  return folder


@pytest.fixture
def run(evaluated, tmp_path):
  return shutil.copytree(evaluated, tmp_path / 'run')


def _all(folder: pathlib.Path):
  """All that a reader takes from the folder of a run."""
  e = runs.load_config(str(folder))
  loaded = runs.load(str(folder), text=False)
  about = theory.about(str(folder))
  manifest = run_folder.text_of(str(folder))
  return dict(
    config=e,
    params=jax.tree.map(np.asarray, loaded.params),
    step=loaded.step,
    tokenizer=loaded.tokenizer.dumps(),
    metrics=[row['loss'] for row in runs.read_metrics(str(folder))],
    rpe={key: about[key] for key in (*theory.NEEDED, 'final')},
    rows=[(r['length'], r['ppl'], r['tokens']) for r in _rows(folder, e)],
    text=[about['tokens_sha256'] for about in manifest['splits'].values()],
  )


def _rows(folder: pathlib.Path, e) -> list[dict]:
  rows = table.read(eval_table.path(str(folder), e.eval))
  if {row['length'] for row in rows} != set(e.eval.lengths):
    raise ValueError('its table lacks lengths, and is made again')
  return rows


def _same(got, want) -> bool:
  for key in want:
    if key == 'metrics':  # a kill may cut the last rows, and they are redone
      if got[key] != want[key][: len(got[key])]:
        return False
    elif key == 'params':
      equal = jax.tree.map(np.array_equal, got[key], want[key])
      if not all(jax.tree.leaves(equal)):
        return False
    elif got[key] != want[key]:
      return False
  return True


def _attack(run: pathlib.Path, each: int, small: int) -> None:
  paths = sorted(p for p in run.rglob('*') if p.is_file())
  paths = [
    p
    for p in paths
    if p.suffix not in ('.png', '.npy')  # which nobody reads
    and p.parent.name not in ('tensorboard', '.claims')
  ]
  names = {p.name for p in paths}
  assert names >= {'config.json', 'rpe.json', 'COMMIT', 'metrics.jsonl'}
  opt = [p for p in paths if 'opt' in p.parts]  # what a reader passes over
  for some, n in (([p for p in paths if p not in opt], each), (opt, small)):
    counts = attack.damage(some, lambda _: _all(run), _same, n)
    print(attack.table(counts))


def test_no_byte_of_a_run_makes_other_numbers(run):
  _attack(run, each=3, small=0)


@pytest.mark.slow
def test_no_byte_of_a_run_makes_other_numbers_1000_times(run):
  _attack(run, each=60, small=2)


def test_no_byte_that_an_optimiser_wrote_resumes_as_another(run, capsys):
  """What a trainer takes up: a damaged step is passed over, or refused."""
  from extrapolation import train

  e = runs.load_config(str(run))
  opt = [p for p in (run / 'checkpoints').rglob('*') if 'opt' in p.parts]
  path = max((p for p in opt if p.is_file()), key=lambda p: p.stat().st_size)
  hurt = bytearray(path.read_bytes())
  hurt[len(hurt) // 2] ^= 4
  path.write_bytes(hurt)
  with pytest.raises(OSError, match='every checkpoint.*is damaged: steps 6;'):
    train.train(e, str(run))
  assert path.read_bytes() == hurt  # nothing was removed


@pytest.mark.parametrize('name', ['config.json', 'metrics.jsonl', 'rpe.json'])
def test_one_damaged_run_does_not_stop_a_report(run, tmp_path, name, capsys):
  folder = tmp_path / 'sweep'
  for one in ('a', 'b', 'c'):
    shutil.copytree(run, folder / one)
  path = folder / 'b' / name
  text = path.read_text()
  # The last digit of a number may change and leave it the number that it is.
  at = text.rindex('.', 0, 2 * len(text) // 3) + 1
  changed = str((int(text[at]) + 1) % 10)
  path.write_text(text[:at] + changed + text[at + 1 :])
  if name == 'config.json':  # without sweep.json it is not even a known run
    e = _sweep_of(folder / 'a')
    sweep_grid.record(str(folder), e)
    for one in ('a', 'b'):
      (folder / one).rename(folder / f'kerple_log-s{"ab".index(one)}')
    shutil.rmtree(folder / 'c')
  report.write(str(folder))
  said = capsys.readouterr()
  assert name in said.out + said.err
  assert 'damaged' in said.out + said.err
  assert len(table.read(folder / 'sweep.csv')) in (3, 6)


def _sweep_of(folder: pathlib.Path):
  e = runs.load_config(str(folder))
  changes = {'sweep.rpe': 'kerple_log', 'sweep.seeds': '0,1'}
  return config.override(e, changes)


def test_a_digit_in_a_table_is_found_and_the_table_made_again(run, capsys):
  e = runs.load_config(str(run))
  path = eval_table.path(str(run), e.eval)
  want = sweep_grid.evaluated_rows(str(run), e)
  assert len(want) == 3
  text = path.read_text()
  at = text.index(',', text.index('test,nonoverlap')) + 1
  at = next(i for i in range(at, len(text)) if text[i] == '.') + 2
  path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
  assert sweep_grid.evaluated_rows(str(run), e) == []
  said = capsys.readouterr().err
  assert said.count('\n') == 1 and 'row 1, was altered' in said
  evaluate.evaluate(str(run))
  again = sweep_grid.evaluated_rows(str(run), e)
  assert [r['ppl'] for r in again] == [r['ppl'] for r in want]


def test_a_commit_is_text_and_nan_is_nan(tmp_path):
  rows = [dict(commit='12e4567', ppl=float('nan'), rpe='1', run='1234')]
  rows += [dict(commit='1234567', ppl=1.5, rpe='2', run='5e10')]
  table.write(tmp_path / 'a.csv', rows)
  again = table.read(tmp_path / 'a.csv')
  assert [r['commit'] for r in again] == ['12e4567', '1234567']
  assert np.isnan(again[0]['ppl']) and again[1]['run'] == '5e10'
  from extrapolation.evaluation import length_sweep
  from extrapolation.report import summary

  assert np.isnan(length_sweep._exp(float('nan')))
  assert summary.spread([1.0, float('nan'), 2.0]) == 'nan'


def test_one_damaged_run_does_not_stop_a_sweep(tmp_path, capsys):
  """It is named and counts as failed; the others are done."""
  base = tiny_config(tmp_path)
  changes = {'sweep.rpe': 'type1,alibi', 'sweep.seeds': '0'}
  e = config.override(base, changes)
  hurt = tmp_path / 'sweep' / 'type1-s0'
  first = dict(sweep_grid.experiments(e))['type1-s0']
  runs.claim(str(hurt), first).close()
  text = (hurt / 'config.json').read_text()
  (hurt / 'config.json').write_text(text.replace('"steps": 6', '"steps": 7'))
  with pytest.raises(
    ValueError, match=r'1 of 2 runs failed:\n.*config.json was'
  ):
    sweep.sweep(e, str(tmp_path / 'sweep'))
  assert {r['rpe'] for r in table.read(tmp_path / 'sweep' / 'sweep.csv')} == {
    'alibi'
  }
  (hurt / 'config.json').write_text(text)  # restored, the same command goes on
  assert len(sweep.sweep(e, str(tmp_path / 'sweep'))) == 6
