"""A power cut at any moment loses nothing that was promised."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from extrapolation import data, evaluate, runs, train
from extrapolation.output import signed, table
from extrapolation.runs import checkpoint, run_folder
from extrapolation.runs.checkpoint_reader import CheckpointReader
from tests.attack.power import Disk
from tests.conftest import tiny_config


def _sound(run: pathlib.Path, promised: int, capsys) -> int:
  """Raises unless all that is there is whole; the newest step."""
  for name in ('config.json', 'rpe.json', 'data.json'):
    if (run / name).exists():
      assert signed.read(run / name)
  if (run / 'tokenizer.json').exists():
    assert data.load_tokenizer(run / 'tokenizer.json').V == 257
  rows = []
  if (run / 'metrics.jsonl').exists():
    rows = runs.read_metrics(str(run))
  for path in run.glob('eval/*.csv'):
    assert len(table.read(path)) == 3
    curves = sorted(path.parent.glob('*.npy'))
    assert [len(np.load(p)) for p in curves] == [16, 64, 8]
  reader = CheckpointReader(str(run))
  newest = max(reader.steps(), default=0)
  assert newest >= promised
  if newest:
    found = CheckpointReader(str(run)).restore({})
    assert found and found[0] == newest  # and so for all files below
    for name, (size, crc) in found[2]['files'].items():
      checkpoint.commit.check(reader.path / str(newest) / name, size, crc)
    assert rows[-1]['step'] >= newest
  assert not capsys.readouterr().err
  return newest


def _train_on(disk_root, monkeypatch):
  """A run on a disk that is watched; notes what was promised, and when."""
  e = tiny_config(disk_root)
  disk = Disk(disk_root, monkeypatch)
  disk.note = 0
  wait = checkpoint.Checkpoints.wait

  def noted(self):
    wait(self)
    disk.note = max(self.steps(), default=0)

  monkeypatch.setattr(checkpoint.Checkpoints, 'wait', noted)
  train.train(e, str(disk_root / 'run'))
  evaluate.evaluate(str(disk_root / 'run'))
  return e, disk


@pytest.mark.parametrize('every', [2, pytest.param(1, marks=pytest.mark.slow)])
def test_a_power_cut_at_any_moment_loses_nothing_promised(
  tmp_path, monkeypatch, capsys, every
):
  (tmp_path / 'disk').mkdir()
  _, disk = _train_on(tmp_path / 'disk', monkeypatch)
  monkeypatch.undo()
  capsys.readouterr()
  assert disk.note == 6 and len(disk.moments) > 60
  seen = {False: set(), True: set()}
  for moment in disk.moments[::every]:
    for eager in seen:
      found = disk.after_power_cut(moment, eager, tmp_path / 'found')
      seen[eager].add(_sound(found / 'run', moment.note, capsys))
  print(
    f'{len(disk.moments)} power cuts on each of two disks; steps found: {seen}'
  )
  assert seen == {False: {0, 2, 4, 6}, True: {0, 2, 4, 6}}
  disk.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_after_any_power_cut_to_the_same_bits(
  tmp_path, monkeypatch, capsys
):
  (tmp_path / 'disk').mkdir()
  e, disk = _train_on(tmp_path / 'disk', monkeypatch)
  monkeypatch.undo()
  want = runs.load(str(tmp_path / 'disk' / 'run')).params
  moments = [m for m in disk.moments if 'run/config.json' in m.tree]
  for moment in moments[::12]:
    for eager in (False, True):
      found = disk.after_power_cut(moment, eager, tmp_path / 'found')
      shutil.rmtree(found / 'cache', ignore_errors=True)
      train.train(e, str(found / 'run'))
      got = runs.load(str(found / 'run')).params
      jax.tree.map(np.testing.assert_array_equal, got, want)
      assert run_folder.text_of(str(found / 'run'))
  disk.close()
