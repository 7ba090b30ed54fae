"""A pool of workers: how many, what they are given, how they end."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from extrapolation import config
from extrapolation.cli import allocator
from extrapolation.output import exit_codes
from extrapolation.runs import (
  checkpoint_reader,
  machine,
  sweep_grid,
  worker_pool,
)
from tests import chaos, group

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def todo(tiny):
  """Three runs."""
  e = config.override(tiny, {'sweep.rpe': 'alibi,none,type1'})
  return dict(sweep_grid.experiments(e))


@pytest.mark.parametrize(
  'cores, free, accelerator, size',
  [
    (8, 1 << 40, False, 3),  # no more than runs
    (2, 1 << 40, False, 2),
    (8, 2 << 30, False, 2),  # 80 % of it holds two
    (8, 1 << 20, False, 1),
    (8, 1 << 40, True, 1),
  ],
)
def test_as_many_as_cores_memory_and_runs_allow(
  todo, monkeypatch, cores, free, accelerator, size
):
  monkeypatch.setattr(machine, 'cores', lambda: cores)
  monkeypatch.setattr(machine, 'available_bytes', lambda: free)
  monkeypatch.setattr(allocator, 'has_accelerator', lambda: accelerator)
  assert worker_pool.size(todo.values()) == size
  assert worker_pool.size([]) == 1


def test_a_larger_run_needs_more_memory(tiny):
  larger = config.override(tiny, {'train.B': '4096', 'train.T': '512'})
  least = worker_pool.PROCESS_BYTES
  assert least < worker_pool.bytes_of(tiny) < 1.1 * least
  assert worker_pool.bytes_of(larger) > 3 * least
  in_parts = config.override(larger, {'train.accumulate': '64'})
  assert worker_pool.bytes_of(in_parts) < worker_pool.bytes_of(larger) / 2


def test_the_limits_of_a_container_count(tmp_path, monkeypatch):
  inner = tmp_path / 'slice' / 'job'
  inner.mkdir(parents=True)
  monkeypatch.setattr(machine, '_groups', lambda: (inner, inner.parent))
  free = machine.available_bytes()
  monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(16)))
  assert machine.cores() == 16
  (inner / 'cpu.max').write_text('max 100000\n')
  (inner.parent / 'cpu.max').write_text('250000 100000\n')
  assert machine.cores() == 3
  (inner / 'memory.max').write_text('max\n')
  assert machine.available_bytes() == pytest.approx(free, rel=0.5)
  (inner / 'memory.max').write_text('1000000\n')
  (inner / 'memory.current').write_text('700000\n')
  (inner / 'memory.stat').write_text('anon 5\ninactive_file 100000\n')
  assert machine.available_bytes() == 400_000


def test_this_process_has_cores_and_memory():
  assert 1 <= machine.cores() <= os.cpu_count()
  assert machine.available_bytes() > 1 << 20


@pytest.mark.parametrize('threads', [1, 3])
def test_a_worker_computes_with_its_share_of_threads(threads):
  code = """
import pathlib, jax.numpy as jnp
(jnp.ones((300, 300)) @ jnp.ones((300, 300))).block_until_ready()
names = [p.read_text() for p in pathlib.Path('/proc/self/task').glob('*/comm')]
print(sum('XLAEigen' in name for name in names))
"""
  limits = worker_pool.thread_limits(threads)
  if not pathlib.Path('/proc/self/task').exists():
    pytest.skip('threads are counted in /proc')
  out = subprocess.run(
    [sys.executable, '-c', code], env=os.environ | limits, check=True,
    capture_output=True, text=True,
  ).stdout  # fmt: skip
  assert int(out) == threads


def pool_of(monkeypatch, tmp_path, code: str, todo, workers=2):
  """What `run` returns, of workers that do `code`."""
  (tmp_path / 'worker.py').write_text('import os, signal, sys\n' + code)
  command = (sys.executable, '-u', str(tmp_path / 'worker.py'))
  monkeypatch.setattr(worker_pool, 'COMMAND', command)
  return worker_pool.run(['--flag=1'], workers, str(tmp_path), todo)


def test_what_workers_say_reaches_the_reader(
  todo, tmp_path, monkeypatch, capsys
):
  code = """
print('out', *sys.argv[1:], os.environ['OMP_NUM_THREADS'])
print('err', file=sys.stderr)
"""
  monkeypatch.setattr(machine, 'cores', lambda: 6)
  assert pool_of(monkeypatch, tmp_path, code, todo) == {}
  out, err = capsys.readouterr()
  first, *lines = out.splitlines()
  assert first == '3 runs to do, 2 workers with 3 threads each'
  assert lines == ['out --flag=1 --workers=1 --no_report 3'] * 2
  assert err == 'err\n' * 2


def test_a_reader_that_left_stops_nobody(todo, tmp_path, monkeypatch):
  class Closed:
    def write(self, text):
      if 'x' in text:
        raise BrokenPipeError

    def flush(self):
      pass

  monkeypatch.setattr(sys, 'stdout', Closed())
  code = "for _ in range(20_000): print('x' * 50)"  # more than a pipe holds
  assert pool_of(monkeypatch, tmp_path, code, todo) == {}


def test_a_killed_worker_is_told_and_what_it_left_is_named(
  todo, tmp_path, monkeypatch, capsys
):
  done = {'alibi-s0', 'type1-s0'}
  monkeypatch.setattr(
    sweep_grid, 'evaluated_rows',
    lambda folder, e: [{}] if os.path.basename(folder) in done else [],
  )  # fmt: skip
  code = 'os.kill(os.getpid(), signal.SIGKILL)'
  failed = pool_of(monkeypatch, tmp_path, code, todo)
  assert failed == {'none-s0': 'its worker ended before it was done'}
  assert capsys.readouterr().err.count('a worker ended by SIGKILL') == 2
  done.add('none-s0')
  assert pool_of(monkeypatch, tmp_path, code, todo) == {}


def test_a_worker_to_be_run_again_ends_the_pool_alike(
  todo, tmp_path, monkeypatch
):
  code = f'sys.exit({exit_codes.RETRY})'
  with pytest.raises(SystemExit) as stopped:
    pool_of(monkeypatch, tmp_path, code, todo)
  assert stopped.value.code == exit_codes.RETRY
  monkeypatch.setattr(sweep_grid, 'evaluated_rows', lambda folder, e: [{}])
  assert pool_of(monkeypatch, tmp_path, code, todo) == {}  # all is done


WORKER = """
import signal, sys, time
def save(number, frame):
  print('saved', flush=True)
  sys.exit(75)
signal.signal(signal.SIGTERM, save)
print('ready', flush=True)
time.sleep(60)
"""
POOL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore
from extrapolation import cli
from extrapolation.output import logs
from extrapolation.runs import worker_pool
worker_pool.COMMAND = (sys.executable, sys.argv[1])
logs.setup()
cli.run(lambda argv: worker_pool.run([], 2, 'nowhere', {}))
"""


def test_ctrl_c_in_a_terminal_lets_every_worker_save(tmp_path):
  (tmp_path / 'worker.py').write_text(WORKER)
  pool = subprocess.Popen(
    [sys.executable, '-c', POOL, str(tmp_path / 'worker.py')],
    stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
  )  # fmt: skip
  lines = [pool.stdout.readline() for _ in range(3)]
  assert lines[1:] == ['ready\n'] * 2
  os.killpg(pool.pid, signal.SIGINT)  # as a terminal does
  said = pool.communicate(timeout=30)[0].splitlines()
  assert said.count('saved') == 2
  assert any(line.startswith('Ctrl-C: every worker') for line in said)
  assert pool.returncode == exit_codes.INTERRUPTED


def test_a_second_ctrl_c_ends_the_workers_at_once(tmp_path):
  slow = WORKER.replace('sys.exit(75)', 'time.sleep(60)')
  (tmp_path / 'worker.py').write_text(slow)
  pool = subprocess.Popen(
    [sys.executable, '-c', POOL, str(tmp_path / 'worker.py')],
    stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
  )  # fmt: skip
  lines = [pool.stdout.readline() for _ in range(3)]
  assert lines[1:] == ['ready\n'] * 2
  workers = group.children(pool)
  os.killpg(pool.pid, signal.SIGINT)
  assert sum('saved' in pool.stdout.readline() for _ in range(3)) == 2
  os.killpg(pool.pid, signal.SIGINT)
  assert pool.wait(timeout=20) == exit_codes.INTERRUPTED
  assert not any(map(alive, workers))


class Command:
  """A real sweep of two runs by two workers, to be disturbed."""

  def __init__(self, path: pathlib.Path, e: config.Experiment):
    self.sweep = chaos.Sweep(path, e, 60.0)
    config_flag, workdir = self.sweep.argv[2:4]
    self.argv = [sys.executable, '-m', 'extrapolation.sweep']
    self.argv += [config_flag, workdir, '--workers=2']
    self.log = path / 'said'

  def start(self) -> subprocess.Popen:
    with open(self.log, 'a') as log:
      return subprocess.Popen(
        self.argv, env=self.sweep.env, cwd=ROOT, stdout=log, stderr=log
      )

  def said(self) -> str:
    return self.log.read_text()

  def steps(self) -> dict[str, int]:
    """How many rows of metrics each run has."""
    paths = self.sweep.folder.glob('*/metrics.jsonl')
    return {p.parent.name: p.read_bytes().count(b'\n') for p in paths}

  def go_on(self, pool: subprocess.Popen, more: int) -> list[int]:
    """Waits until two runs have `more` steps more; the workers' numbers."""
    before = self.steps()

    def ready():
      now = self.steps()
      return len(now) == 2 and all(
        n >= before.get(name, 0) + more for name, n in now.items()
      )

    assert group.wait_for(ready, pool), self.said()
    return group.children(pool)

  def saved(self) -> dict[str, int]:
    return {
      name: checkpoint_reader.CheckpointReader(
        str(self.sweep.folder / name)
      ).steps()[-1]
      for name in self.steps()
    }


def alive(pid: int) -> bool:
  """Whether a process still runs; one that nobody has waited for does not."""
  try:
    state = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return False
  return state.rpartition(')')[2].split()[0] not in 'ZX'


def wait_until_gone(pids: list[int]) -> None:
  end = time.monotonic() + 60
  while any(map(alive, pids)):
    assert time.monotonic() < end, pids
    time.sleep(0.02)


@pytest.mark.slow  # three real sweeps, one after the other: 50 s
@pytest.mark.timeout(600)
def test_a_sweep_goes_on_whatever_ends_its_pool_or_a_worker(tiny, tmp_path):
  """The pool is killed, then stopped by notice, then loses a worker."""
  changes = {'sweep.rpe': 'alibi', 'sweep.seeds': '0,1', 'eval.lengths': '8,16'}
  changes |= {'train.steps': '1200', 'train.checkpoint_every': '200'}
  changes |= {'train.valid_every': '0'}
  command = Command(tmp_path, config.override(tiny, changes))

  pool = command.start()
  workers = command.go_on(pool, 20)
  assert len(workers) == 2
  pool.kill()
  pool.wait()
  wait_until_gone(workers)
  assert command.saved() == command.steps()  # each after its last step
  assert max(command.steps().values()) < 1200, 'the runs are too short'

  at = command.steps()
  pool = command.start()
  workers = command.go_on(pool, 20)
  for name, step in at.items():
    assert f'{name}: goes on, trained {step:,} of 1,200 steps' in command.said()
  pool.terminate()
  assert pool.wait(timeout=60) == exit_codes.RETRY
  assert not any(map(alive, workers))
  assert command.saved() == command.steps()
  assert command.said().count('stopped by notice after step') == 2

  pool = command.start()
  workers = command.go_on(pool, 20)
  os.kill(workers[0], signal.SIGKILL)
  assert pool.wait(timeout=200) == exit_codes.OK, command.said()
  assert 'warning: a worker ended by SIGKILL' in command.said()
  for losses in command.sweep.losses().values():
    assert [step for step, _ in losses] == [*range(1, 1201)]
  assert len(command.sweep.rows()) == 4
  assert command.said().count('report.html') == 1
  assert 'Missing' not in (command.sweep.folder / 'report.html').read_text()


@pytest.mark.slow
def test_a_failed_run_is_named_once_at_the_end_with_code_2(tiny, tmp_path):
  changes = {'sweep.rpe': 'alibi,none', 'eval.lengths': '8,16'}
  command = Command(tmp_path, config.override(tiny, changes))
  folder = command.sweep.folder / 'none-s0'
  folder.mkdir(parents=True)
  (folder / 'notes.txt').touch()  # of something else: refused as a run
  why = {'why': 'an earlier fault', 'fault': 'run'}
  (folder / 'failed.json').write_text(json.dumps(why))
  pool = command.start()
  assert pool.wait(timeout=200) == exit_codes.USAGE
  end = command.said().partition('error: 1 of 2 runs failed:')[2]
  assert end.count('none-s0: ') == 1 and 'not the folder of a run' in end
  assert len(command.sweep.rows()) == 2
