"""The command on finished runs: files that agree, and mistakes in one line."""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from extrapolation import config, probe, runs, train
from extrapolation.data import probes
from extrapolation.output import signed, table
from extrapolation.parallel import multihost
from extrapolation.probe import __main__ as command
from extrapolation.probe import reach
from extrapolation.runs import probe_table
from tests import conftest

ROOT = pathlib.Path(__file__).parent.parent
SOURCE = 'probe:needle:values=4:filler=4'
NAME = 'probe-needle-values=4-filler=4'
FLAGS = ('--lengths=8,16,40', '--distances=1,7,15,39', '--examples=6',
         '--batch_tokens=160')  # fmt: skip


@pytest.fixture(scope='module')
def own(tmp_path_factory):
  """Two short runs on a probe; `trained` is one on text."""
  path = tmp_path_factory.mktemp('runs')
  c = conftest.tiny_config(path)
  few = {'train.steps': '2', 'train.valid_every': '0', 'data.source': SOURCE}
  for name, encoding in dict(a='kerple_log', b='rotary').items():
    changes = few | {'model.rpe': encoding}
    train.train(config.override(c, changes), f'{path}/{name}')
  return path


@pytest.fixture(scope='module')
def measured(own):
  """What one command over both prints, and the folder."""
  with contextlib.redirect_stdout(io.StringIO()) as out:
    command.main([f'--workdir={own}/a,{own}/b', *FLAGS])
  return out.getvalue(), own


@pytest.fixture
def no_figure(monkeypatch):
  """Figures are slow, and looked at once."""
  monkeypatch.setattr(
    probe.saved.figure, 'one', lambda path, *rows: path.write_bytes(b'')
  )


def tables(folder, name=NAME):
  cells = table.read(folder / 'eval' / f'{name}.csv')
  return cells, table.read(folder / 'eval' / f'{name}-reach.csv')


def test_cells_and_reaches_are_written_and_agree(measured):
  said, folder = measured
  cells, reaches = tables(folder / 'a')
  there = [(row['length'], row['distance']) for row in cells]
  assert there == [(n, d) for n in (8, 16, 40) for d in (1, 7, 15, 39) if d < n]
  for row in cells:
    assert row['examples'] == 6 and row['chance'] == 0.25
    assert row['low'] <= row['accuracy'] <= row['high']
    assert row['nll'] > 0 and np.isfinite(row['margin'])
    assert row['encoding'] == 'kerple_log' and row['train_length'] == 16
    assert row['probe'] == 'needle:values=4:filler=4' and row['step'] == 2
    assert row['cost'] > 0 and row['run'] == cells[0]['run']
  assert [row['length'] for row in reaches] == [8, 16, 40]
  for row in reaches:
    own = [c for c in cells if c['length'] == row['length']]
    assert tuple(row[k] for k in reach.Reach._fields) == reach.of(own)
    assert row['predicted_low'] <= row['predicted'] <= row['predicted_high']
  assert '[2/2]' in said and 'probe-needle' in said
  for path in (folder / 'a/eval', folder / 'b/eval', folder):
    figure = (path / f'{NAME}.png').read_bytes()
    assert figure[:4] == b'\x89PNG' and len(figure) > 20_000
    assert not [p for p in path.iterdir() if p.suffix == '.tmp']


def test_answers_are_those_of_the_model_by_hand(measured):
  _, folder = measured
  cells, _ = tables(folder / 'a')
  r = runs.load(str(folder / 'a'), text=False)
  of = probes.parse(SOURCE)
  right, margin, n, d = [], [], 40, 15
  for i in range(6):
    example = probes.example(of, i, n, distance=d)
    logits = np.asarray(r.model.logits(r.params, example.tokens[None, :-1]))
    z = logits[0, -1][of.answers.start : of.answers.stop]
    own = example.tokens[-1] - of.answers.start
    right.append(z.argmax() == own)
    margin.append(z[own] - np.delete(z, own).max())
  (row,) = [c for c in cells if (c['length'], c['distance']) == (n, d)]
  assert row['accuracy'] == np.mean(right)
  assert row['margin'] == pytest.approx(np.mean(margin), abs=1e-4)


def test_what_theory_does_not_judge_is_measured(measured):
  said, folder = measured
  cells, reaches = tables(folder / 'b')
  assert {row['cost'] for row in cells} == {''}
  assert {row['predicted'] for row in reaches} == {''}
  assert 'not judged: order enters through rotate' in reaches[0]['why']
  assert 'predicted: not judged' in said


def test_runs_are_compared(measured):
  _, folder = measured
  cells = table.read(folder / f'{NAME}.csv')
  assert len(cells) == 2 * len(tables(folder / 'a')[0])
  ranks = table.read(folder / f'{NAME}-ranks.csv')
  assert [row['length'] for row in ranks] == [8, 16, 40]
  assert all(row['rho'] == '' and row['runs'] == 1 for row in ranks)
  assert len(table.read(folder / f'{NAME}-reach.csv')) == 6


def test_other_settings_are_added_and_equal_ones_replaced(
  measured, tmp_path, no_figure
):
  _, folder = measured
  before, _ = tables(folder / 'a')
  out = ['--out', str(tmp_path)]
  one = [f'--workdir={folder}/a', '--lengths=16', '--examples=6']
  command.main([*one, '--distances=1', *out])
  command.main([*one, '--distances=3,7', *out])  # of the same evaluation
  cells = table.read(tmp_path / f'{NAME}.csv')
  assert [row['distance'] for row in cells] == [1, 3, 7]
  (row,) = table.read(tmp_path / f'{NAME}-reach.csv')
  assert row['farthest'] == 7  # of all three
  command.main([*one[:2], '--distances=1', '--examples=2', *out])
  cells = table.read(tmp_path / f'{NAME}.csv')
  assert [row['examples'] for row in cells] == [6, 2, 6, 6]
  (same,) = [c for c in before if (c['length'], c['distance']) == (16, 1)]
  assert cells[0]['margin'] == pytest.approx(same['margin'], abs=1e-5)
  assert tables(folder / 'a')[0] == before


def test_another_encoding_is_said_in_every_row(measured, tmp_path, no_figure):
  _, folder = measured
  flags = ['--rpe=alibi', '--lengths=16', '--distances=7', '--examples=2']
  command.main([f'--workdir={folder}/a', *flags, f'--out={tmp_path}'])
  (row,) = table.read(tmp_path / f'{NAME}-as-alibi.csv')
  assert row['encoding'] == 'alibi (trained: kerple_log)'


def test_a_window_hides_what_lies_beyond_it(
  measured, tmp_path, no_figure, capsys
):
  """Two layers see 2 (4 - 1) tokens back: beyond, a needle changes nothing."""
  _, folder = measured
  flags = ['--window=4', '--lengths=40', '--distances=1,3,7,15,39']
  flags += ['--examples=6', f'--out={tmp_path}']
  command.main([f'--workdir={folder}/a', *flags])
  cells = table.read(tmp_path / f'{NAME}-window-4.csv')
  assert {(row['window'], row['keys']) for row in cells} == {(4, '4 4')}
  near, edge, *beyond, last = cells
  for row in beyond:
    for key in ('margin', 'nll'):
      assert row[key] == pytest.approx(last[key], abs=1e-5)
    assert row['cost'] == np.inf > edge['cost']
  assert near['margin'] != pytest.approx(last['margin'], abs=1e-4)
  (row,) = table.read(tmp_path / f'{NAME}-window-4-reach.csv')
  assert row['in_sight'] == 3 >= row['predicted_high']
  said = capsys.readouterr().out
  assert '6 needles per cell, window 4' in said
  assert 'in sight: the farthest key' in said


@pytest.mark.slow
def test_a_window_is_certified_by_an_example_not_by_the_text_of_a_run(
  trained, tmp_path, no_figure, capsys
):
  command.main(
    [f'--workdir={trained}', '--probe=recall:pairs=2', '--lengths=32',
     '--window=certified:0.9', '--examples=2', f'--out={tmp_path}']
  )  # fmt: skip
  assert '128 tokens of a valid example saw' in capsys.readouterr().out
  path = tmp_path / 'probe-recall-pairs=2-window-certified-0.9.csv'
  for row in table.read(path):
    keys = [int(n) for n in row['keys'].split()]
    assert len(keys) == 2 and all(1 <= n <= 32 for n in keys)


def test_what_certifies_nothing_is_found_when_a_run_is_loaded(own):
  with pytest.raises(ValueError, match='take window=full, or keys'):
    probe.study.load(f'{own}/a', None, 'stick_breaking', 'certified:0.1')


def test_a_process_other_than_the_first_writes_nothing(
  measured, tmp_path, monkeypatch, capsys
):
  _, folder = measured
  other = types.SimpleNamespace(**vars(multihost) | dict(first=lambda f: None))
  monkeypatch.setattr(command, 'multihost', other)
  shutil.copytree(folder, tmp_path / 'runs')
  before = {p: p.stat().st_mtime_ns for p in (tmp_path / 'runs').rglob('*')}
  command.main(
    [f'--workdir={tmp_path}/runs/a,{tmp_path}/runs/b', '--lengths=16',
     '--distances=1', '--examples=6', f'--out={tmp_path}/out']
  )  # fmt: skip
  after = {p: p.stat().st_mtime_ns for p in (tmp_path / 'runs').rglob('*')}
  assert after == before and not (tmp_path / 'out').exists()
  assert 'wrote' not in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_measure_what_one_does(measured, tmp_path):
  """Each computes its share of the texts; process 0 writes, and speaks."""
  _, folder = measured
  shutil.copytree(folder / 'a', tmp_path / 'a')
  out = subprocess.run(
    [sys.executable, 'launch/local.py', '--processes=2', '--devices=2', '--',
     sys.executable, '-m', 'extrapolation.probe', f'--workdir={tmp_path}/a',
     *FLAGS, f'--out={tmp_path}/out', '--join_timeout=60'],
    cwd=ROOT, env=os.environ | dict(PYTHONPATH=str(ROOT)),
    capture_output=True, text=True, timeout=200,
  )  # fmt: skip
  assert out.returncode == 0, out.stdout + out.stderr
  lines = [line for line in out.stdout.splitlines() if 'wrote' in line]
  assert [line[:9] for line in lines] == ['[0] wrote']
  for alone, together in zip(
    tables(folder / 'a'),
    [table.read(tmp_path / 'out' / f'{NAME}{end}.csv')
     for end in ('', '-reach')],
    strict=True,
  ):  # fmt: skip
    for x, y in zip(alone, together, strict=True):
      assert x.keys() == y.keys() and y['device'] == '4 x cpu'
      for key in x.keys() - {'device'}:
        assert y[key] == pytest.approx(x[key], abs=1e-4), key


def test_a_run_on_text_that_has_the_symbols(trained, tmp_path, no_figure):
  command.main(
    [f'--workdir={trained}', '--probe=recall:pairs=2', '--lengths=32',
     '--examples=2', f'--out={tmp_path}']
  )  # fmt: skip
  cells = table.read(tmp_path / 'probe-recall-pairs=2.csv')
  assert {row['length'] for row in cells} == {32} and len(cells) > 3
  assert cells[0]['distance'] == 5


def test_an_interrupted_write_leaves_what_was_there(
  measured, tmp_path, monkeypatch, no_figure
):
  _, folder = measured
  flags = [f'--workdir={folder}/a', '--lengths=16', '--distances=1',
           '--examples=2', f'--out={tmp_path}']  # fmt: skip
  command.main(flags)
  before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

  def stop(*args):
    raise KeyboardInterrupt

  monkeypatch.setattr(probe.saved.figure, 'one', stop)
  with pytest.raises(KeyboardInterrupt):
    command.main([*flags, '--distances=1,3'])
  assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--workdir='], '--workdir is empty'),
    (['--workdir=nowhere'], 'not the folder of a run'),
    (['--workdir={0}/a,{0}/a'], 'names .* twice'),
    (['--workdir={1}'], 'text without a probe: .*needle.*: --probe=NAME'),
    (['--workdir={0}/a,{1}'], 'run: data.source = .* without a probe'),
    (['--workdir={0}/a', '--probe=recall'], 'a has not the vocabulary: probe'),
    (['--workdir={0}/a', '--probe=nedle'], "did you mean 'needle'"),
    (['--workdir={0}/a', '--distances=40'], 'no distance 40 at length 40; '),
    (['--workdir={0}/a', '--lengths=1,16'], 'no room at length 1'),
    (['--workdir={0}/a', '--examples=0'], '--examples=0: needs 1'),
    (['--workdir={0}/a', '--step=7'], '7'),
    (['--workdir={0}/a', '--rpe=t5'], 'no parameters'),
    (['--workdir={0}/a', '--window=0'], "window '0': needs full, a number"),
    (['--workdir={0}/a', '--window=certified:2'], "'certified:2': needs full"),
    (
      [
        '--workdir={0}/a',
        '--rpe=stick_breaking',
        '--window=certified:0.1',
      ],
      'window certified:0.1: .*; take window=full, or keys',
    ),
  ],
)
def test_mistakes_are_one_line_before_any_compute(
  own, trained, flags, message, monkeypatch
):
  def compute(*args):
    raise AssertionError('computed')

  monkeypatch.setattr(probe.study.forward, 'make', compute)
  given = [flag.format(own, trained) for flag in flags]
  keys = {flag.partition('=')[0] for flag in given}
  given += [f for f in FLAGS if f.partition('=')[0] not in keys]
  with pytest.raises((ValueError, OSError), match=message) as e:
    command.main(given)
  assert '\n' not in str(e.value)


def test_runs_of_different_probes_are_not_compared(own, monkeypatch):
  def other(e, spec):
    return probes.parse('needle' if e.model.rpe == 'rotary' else 'copy')

  monkeypatch.setattr(probe_table, 'probe_of', other)
  with pytest.raises(ValueError, match='different probes .* copy, .* needle'):
    command.main([f'--workdir={own}/a,{own}/b'])


def test_a_damaged_table_is_written_anew(measured, tmp_path, capsys, no_figure):
  _, folder = measured
  flags = [f'--workdir={folder}/a', '--lengths=16', '--distances=1',
           '--examples=2', f'--out={tmp_path}']  # fmt: skip
  command.main(flags)
  path = tmp_path / f'{NAME}.csv'
  path.write_text(path.read_text().replace('kerple_log', 'alibi'))
  with pytest.raises(signed.Damaged):
    table.read(path)
  command.main(flags)
  assert 'written anew' in capsys.readouterr().err
  assert len(table.read(path)) == 1
