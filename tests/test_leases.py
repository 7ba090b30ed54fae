"""Claims: one holder at a time, whatever is killed, paused or slow."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from extrapolation.runs import leases

# Another machine, as far as a process can tell: flock says nothing there.
FOREIGN = 'leases._kernel = lambda: f"machine of {os.getpid()}"'


def process(code: str, *args, foreign=False) -> subprocess.Popen:
  head = 'import os, sys, time\nfrom extrapolation.runs import leases\n'
  code = head + FOREIGN * foreign + '\n' + textwrap.dedent(code)
  return subprocess.Popen(
    [sys.executable, '-c', code, *map(str, args)],
    stdout=subprocess.PIPE,
    text=True,
  )


HOLD = """
lease = leases.take(sys.argv[1], float(sys.argv[2]))
print('taken', flush=True)
time.sleep(60)
"""


def holder(folder, seconds, foreign=False) -> subprocess.Popen:
  child = process(HOLD, folder, seconds, foreign=foreign)
  assert child.stdout.readline() == 'taken\n'
  return child


def kill(child, number=signal.SIGKILL):
  child.send_signal(number)
  if number == signal.SIGKILL:
    child.communicate()


def seconds_until_taken(folder, seconds) -> float:
  start = time.monotonic()
  while time.monotonic() - start < 30:
    try:
      leases.take(folder, seconds).close()
      return time.monotonic() - start
    except leases.Held:
      time.sleep(0.02)
  raise AssertionError('never free')


def test_one_holds_and_the_next_gets_it_once_it_is_closed(tmp_path):
  with leases.take(tmp_path / 'a') as lease:
    lease.check()
    with pytest.raises(leases.Held, match=f'process {os.getpid()}'):
      leases.take(tmp_path / 'a')
  with leases.take(tmp_path / 'a') as lease:
    assert lease.path.name == '2'  # a number is never used again
  assert leases.look(tmp_path / 'a').free
  assert leases.look(tmp_path / 'nothing') is None


def test_a_process_killed_here_is_succeeded_at_once(tmp_path, capsys):
  child = holder(tmp_path, 3600)
  with pytest.raises(leases.Held, match=f'process {child.pid}'):
    leases.wait(tmp_path)
  assert capsys.readouterr().err == ''  # lives: told without waiting
  kill(child)
  leases.take(tmp_path).close()


def test_a_process_killed_elsewhere_is_succeeded_after_its_seconds(tmp_path):
  child = holder(tmp_path, 1.0, foreign=True)
  with pytest.raises(leases.Held):
    leases.wait(tmp_path, 0.1)  # its beat is seen
  kill(child)
  assert 0.9 < seconds_until_taken(tmp_path, 0.1) < 5


def test_no_clock_of_the_file_system_is_believed(tmp_path):
  """A claim that looks years old, or of the future, is watched all the same."""
  child = holder(tmp_path, 1.0, foreign=True)
  kill(child)
  for when in (1e9, 4e9):
    os.utime(tmp_path / '.claims' / '1', (when, when))
    with pytest.raises(leases.Held):
      leases.take(tmp_path)
  assert seconds_until_taken(tmp_path, 1.0) > 0.9


def test_a_holder_that_wrote_nothing_is_watched(tmp_path, monkeypatch):
  monkeypatch.setattr(leases, 'SECONDS', 0.3)
  for text in ('', '{"who": "me", "ker', 'null'):
    folder = tmp_path / str(len(text))
    (folder / '.claims').mkdir(parents=True)
    (folder / '.claims' / '1').write_text(text)
    with pytest.raises(leases.Held):
      leases.take(folder)
    assert seconds_until_taken(folder, 1.0) > 0.2


def test_a_sleeper_that_was_succeeded_knows_before_it_writes(tmp_path):
  code = """
  lease = leases.take(sys.argv[1], 0.6)
  lease._stop.set()  # its thread sleeps with it
  print('taken', flush=True)
  time.sleep(1.5)
  try:
    lease.check()
    print('wrote')
  except leases.Lost as e:
    print(e)
  """
  for taken in (True, False):
    folder = tmp_path / str(taken)
    child = process(code, folder, foreign=True)
    assert child.stdout.readline() == 'taken\n'
    if taken:
      seconds_until_taken(folder, 1.0)
    out = child.communicate()[0]
    assert ('another took over' in out or 'succeeded' in out) == taken, out


def test_a_stopped_process_loses_it_and_one_alone_goes_on(tmp_path):
  code = """
  lease = leases.take(sys.argv[1], 0.6)
  print('taken', flush=True)
  for _ in range(400):
    time.sleep(0.05)
    try:
      lease.check()
    except leases.Lost as e:
      print('lost', flush=True)
      break
    if lease.path.name != '1':
      print('again', flush=True)
      break
  """
  for other in (True, False):
    folder = tmp_path / str(other)
    child = process(code, folder, foreign=True)
    assert child.stdout.readline() == 'taken\n'
    kill(child, signal.SIGSTOP)
    if other:
      seconds_until_taken(folder, 1.0)
    else:
      time.sleep(1.0)
    kill(child, signal.SIGCONT)
    assert child.communicate()[0] == ('lost\n' if other else 'again\n')


def test_a_claim_given_back_elsewhere_is_free_at_once(tmp_path):
  child = process('leases.take(sys.argv[1]).close()', tmp_path, foreign=True)
  child.communicate()
  assert child.returncode == 0 and leases.look(tmp_path).number == 1
  leases.take(tmp_path).close()


def test_a_claim_is_kept_under_one_number_and_stays_given_back(tmp_path):
  lease = leases.take(tmp_path, 0.3)
  for _ in range(20):
    time.sleep(0.04)
    lease.check()
  assert [p.name for p in (tmp_path / '.claims').iterdir()] == ['1']
  lease.close()
  lease._renew()  # a beat that was late
  assert leases.look(tmp_path).touched == 0


def test_a_holder_that_was_misjudged_gives_way(tmp_path):
  lease = leases.take(tmp_path, 0.6)
  (tmp_path / '.claims' / '2').write_text('{}')
  time.sleep(0.3)
  with pytest.raises(leases.Lost, match='has succeeded it'):
    lease.check()


def test_an_old_listing_misleads_nobody(tmp_path, monkeypatch):
  leases.take(tmp_path).close()
  old = leases._numbers(tmp_path / '.claims')
  with leases.take(tmp_path):
    monkeypatch.setattr(leases, '_numbers', lambda claims: old)
    with pytest.raises(leases.Held):
      leases.take(tmp_path)
  with leases.take(tmp_path) as lease:
    assert lease.path.name == '3'


def test_a_removed_folder_is_lost(tmp_path):
  lease = leases.take(tmp_path / 'a', 0.3)
  lease.path.unlink()
  time.sleep(0.4)
  with pytest.raises(leases.Lost, match='has been removed'):
    lease.check()
  lease.close()


def test_a_full_disk_leaves_nothing_that_looks_alive(tmp_path, monkeypatch):
  def full(*args):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(json, 'dumps', full)
  with pytest.raises(OSError, match='No space'):
    leases.take(tmp_path)
  monkeypatch.undo()
  leases.take(tmp_path).close()


def test_exactly_one_of_many_succeeds_a_dead_one(tmp_path):
  """Threads race for one claim after another; the winners never overlap."""
  winners, start = [], threading.Barrier(8)

  def race(i):
    for k in range(20):
      start.wait()
      try:
        lease = leases.take(tmp_path / str(k), 60.0)
        winners.append((k, lease))
      except leases.Held:
        pass

  for k in range(20):  # each claim's first holder has died
    (tmp_path / str(k) / '.claims').mkdir(parents=True)
    (tmp_path / str(k) / '.claims' / '1').write_text('{}')
    os.utime(tmp_path / str(k) / '.claims' / '1', (0, 0))
  threads = [threading.Thread(target=race, args=(i,)) for i in range(8)]
  for t in threads:
    t.start()
  for t in threads:
    t.join()
  assert sorted(k for k, _ in winners) == list(range(20))
  for _, lease in winners:
    lease.close()
