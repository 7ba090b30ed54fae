"""What a worker of a sweep does, waits for and leaves to others."""

import pathlib
import threading

import pytest

from extrapolation import sweep, train
from extrapolation.runs import leases, sweep_grid
from extrapolation.runs.sweep_worker import Worker
from tests.test_sweep import with_


class Fake:
  """Stands for training and evaluation: a run is done when its file is."""

  def __init__(self, monkeypatch, does=lambda folder: None):
    self.runs, self.does, self.reports = [], does, []
    monkeypatch.setattr(train, 'train', self.train)
    monkeypatch.setattr(sweep.evaluate, 'evaluate', lambda *a, **k: None)
    monkeypatch.setattr(sweep_grid, 'evaluated_rows', self.finished)
    monkeypatch.setattr(sweep.report, 'write', self.reports.append)

  def train(self, e, folder, lease=None, check_text=None):
    lease.check()
    self.runs.append(pathlib.Path(folder).name)
    if error := self.does(folder):
      raise error
    (pathlib.Path(folder) / 'done').touch()

  def finished(self, folder, e):
    return [{}] if (pathlib.Path(folder) / 'done').exists() else []


def worker(e, folder) -> Worker:
  todo = dict(sweep_grid.experiments(e))
  return Worker(str(folder), todo, sweep._execute, 1.0)


@pytest.mark.parametrize(
  'error, again', [(FloatingPointError('nan'), 0), (OSError('disk full'), 2)]
)
def test_what_would_fail_anywhere_is_not_repeated_by_others(
  tiny, tmp_path, monkeypatch, error, again
):
  c = with_(tiny, rpe='alibi,none')
  fake = Fake(monkeypatch, lambda folder: error)
  first, second = worker(c, tmp_path), worker(c, tmp_path)
  first.work()
  assert fake.runs == ['alibi-s0', 'none-s0'] and len(first.failed) == 2
  second.work()
  assert len(fake.runs) == 2 + again and len(second.failed) == 2
  worker(c, tmp_path).work()  # a new command tries once more
  assert len(fake.runs) == 4 + again
  fake.does = lambda folder: None
  third = worker(c, tmp_path)
  third.work()
  assert third.failed == {} and not list(tmp_path.glob('*/failed.json'))


def test_a_run_that_another_has_is_waited_for(
  tiny, tmp_path, monkeypatch, capsys
):
  c = with_(tiny, rpe='alibi,none,type1')
  fake = Fake(monkeypatch)
  other = leases.take(tmp_path / 'alibi-s0', 60.0)

  def finish():
    (tmp_path / 'alibi-s0' / 'done').touch()
    other.close()

  threading.Timer(0.5, finish).start()
  (tmp_path / 'none-s0').mkdir()
  (tmp_path / 'none-s0' / 'done').touch()
  worker(c, tmp_path).work()
  assert fake.runs == ['type1-s0']
  out = capsys.readouterr().out
  assert 'waiting for 1 of 3 runs: alibi-s0 (' in out
  assert '[2/3] none-s0: finished, skipped\n' in out
  assert '[1/3] alibi-s0: finished\n' in out
  assert out.count('waiting') == 1


def test_a_run_lost_to_another_is_left_to_it(tiny, tmp_path, monkeypatch):
  c = with_(tiny, rpe='alibi')
  stolen = []

  def steal(folder):  # it slept, and another one came
    if not stolen:
      stolen.append(folder)
      return leases.Lost('lost the claim')

  fake = Fake(monkeypatch, steal)
  one = worker(c, tmp_path)
  one.work()
  assert fake.runs == ['alibi-s0'] * 2 and one.failed == {}


def test_a_run_that_never_gets_finished_is_not_done_for_ever(
  tiny, tmp_path, monkeypatch
):
  fake = Fake(monkeypatch)
  monkeypatch.setattr(sweep_grid, 'evaluated_rows', lambda folder, e: [])
  one = worker(with_(tiny, rpe='alibi'), tmp_path)
  one.work()
  assert fake.runs == ['alibi-s0'] and 'lacks' in one.failed['alibi-s0']


def test_a_task_does_its_run_and_the_last_one_reports(
  tiny, tmp_path, monkeypatch, capsys
):
  c, folder = with_(tiny, rpe='alibi,none'), str(tmp_path / 's')
  fake = Fake(monkeypatch)
  monkeypatch.setattr(train, 'check', lambda c: None)
  sweep.sweep(c, folder, only=('1',))
  assert fake.runs == ['none-s0'] and fake.reports == []
  assert 'no report yet: 1 of 2 runs are to do' in capsys.readouterr().out
  sweep.sweep(c, folder, only=('alibi-s0',))
  assert fake.runs == ['none-s0', 'alibi-s0'] and fake.reports == [folder]
  with pytest.raises(ValueError, match="no run '2'.*there are: alibi-s0, no"):
    sweep.sweep(c, folder, only=('2',))
  with pytest.raises(ValueError, match='lease = 0.5'):
    sweep.sweep(c, folder, 0.5)
