"""Workers of one real sweep, killed at random; and the proof it did no harm.

Each worker is a process that runs `extrapolation.sweep` and notes every row of
metrics that it writes: run, step, claim, process, time.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from extrapolation import config, runs
from extrapolation.output import exit_codes, files, table

ROOT = pathlib.Path(__file__).parent.parent

WORKER = """
import os, sys, time
from extrapolation import cli, runs, sweep
from extrapolation.runs import leases
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
if sys.argv[2] == 'elsewhere':  # another machine: flock says nothing there
  leases._kernel = lambda: f'machine of {os.getpid()}'
taken, make = {}, leases.Lease._make
def remembered(self, number):
  make(self, number)
  taken[self.claims.parent.name] = self
leases.Lease._make = remembered
write = runs.Metrics.write
def noted(self, step, **values):
  name = os.path.basename(os.path.dirname(self.file.name))
  about = name, step - 1, taken[name].path.name, os.getpid(), time.monotonic()
  os.write(log, (' '.join(map(str, about)) + '\\n').encode())
  write(self, step, **values)
runs.Metrics.write = noted
cli.run(sweep.main, sys.argv[3:])
"""


class Sweep:
  """A sweep in a folder, and the workers on it."""

  def __init__(
    self,
    path: pathlib.Path,
    e: config.Experiment,
    seconds: float,
    where: str = 'here',
  ):
    self.folder, self.log = path / 'sweep', path / 'log'
    files.write_json(path / 'tiny.json', e.to_dict())
    (path / 'tiny.py').write_text(
      'from extrapolation import runs\n\n\ndef get_config():\n'
      f"  return runs.load_config({str(path)!r}, 'tiny.json')"
    )
    self.argv = [str(self.log), where, f'--config={path}/tiny.py']
    self.argv += [f'--workdir={self.folder}', f'--lease={seconds}']
    self.argv += ['--workers=1']
    self.env = os.environ | {'PYTHONPATH': str(ROOT)}

  def start(self) -> subprocess.Popen:
    return subprocess.Popen(
      [sys.executable, '-c', WORKER, *self.argv],
      env=self.env,
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )

  def lines(self) -> list[str]:
    return self.log.read_text().splitlines() if self.log.exists() else []

  def wait_for(
    self,
    lines: int,
    workers: Sequence[subprocess.Popen],
    seconds: float = 240.0,
  ) -> None:
    """Until the log has so many lines, or a worker ended by itself."""
    end = time.monotonic() + seconds
    while len(self.lines()) < lines:
      if any(w.poll() is not None for w in workers):
        return
      assert time.monotonic() < end, f'no {lines} lines within {seconds} s'
      time.sleep(0.01)

  def losses(self) -> dict[str, list]:
    """{run: [(step, loss)]}, from the metrics of every run."""
    return {
      path.parent.name: [
        (row['step'], row['loss'])
        for row in runs.read_metrics(str(path.parent))
      ]
      for path in sorted(self.folder.glob('*/metrics.jsonl'))
    }

  def rows(self) -> list[dict]:
    """The sweep's table, without the time and the commit of each row."""
    about = ('seconds', 'commit')
    rows = table.read(self.folder / 'sweep.csv')
    return [{k: v for k, v in row.items() if k not in about} for row in rows]


def kill_at_random(
  sweep: Sweep,
  kills: int,
  seed: int,
  most: int,
  pauses: float = 0.0,
  notices: float = 0.0,
) -> tuple[int, int, list[str]]:
  """Runs two workers, kills one `kills` times, each time replaced by another.

  A kill comes after a random number of steps, up to `most`, and hits whoever
  wrote last, or now and then the other one; a share `pauses` of them is a sleep
  that outlasts the lease, a share `notices` a SIGTERM. Returns kills, sleeps,
  and what the workers printed.
  """
  rng = random.Random(seed)
  workers = [sweep.start(), sweep.start()]
  killed = slept = 0
  while killed + slept < kills:
    sweep.wait_for(len(sweep.lines()) + rng.randint(1, most), workers)
    if any(w.poll() is not None for w in workers):
      break
    time.sleep(rng.uniform(0, 0.3) if rng.random() < 0.5 else 0)
    last = int(sweep.lines()[-1].split()[3])
    hit = next((w for w in workers if w.pid == last), workers[0])
    if rng.random() < 0.2:
      hit = workers[1 - workers.index(hit)]
    if rng.random() < pauses:
      hit.send_signal(signal.SIGSTOP)
      threading.Timer(6, hit.send_signal, (signal.SIGCONT,)).start()
      slept += 1
      continue
    notice = rng.random() < notices
    hit.send_signal(signal.SIGTERM if notice else signal.SIGKILL)
    hit.send_signal(signal.SIGCONT)  # it may be asleep
    hit.communicate(timeout=120)
    early = -signal.SIGTERM  # before it could listen
    assert hit.returncode in ((exit_codes.RETRY, early, 0) if notice else (-9,))
    workers[workers.index(hit)] = sweep.start()
    killed += 1
  outputs = [w.communicate(timeout=600)[0] for w in workers]
  assert [w.returncode for w in workers] == [0, 0], outputs
  return killed, slept, outputs


def summary(folder: pathlib.Path) -> dict:
  """Claims by run: how often each was begun or taken up."""
  return {
    path.parent.name: len(list(path.iterdir()))
    for path in sorted(folder.glob('*/.claims'))
  }


def verify_log(log: str, names, steps: int, every: int, behind: int) -> int:
  """Holds a log of (run, step, claim, process, time) lines to the promise.

  One worker at a time: in the order of time, claims of a run only grow. Each
  step once: within a claim steps follow each other, and a new claim begins at
  a checkpoint, one every so many steps or of a notice, less than `behind` steps
  back. Returns how often a run was taken up by another process.
  """
  taken, runs, saved = 0, {}, set()
  lines = [line.split() for line in log.splitlines()]
  for name, *rest in sorted(lines, key=lambda line: float(line[4])):
    step, claim, pid = map(int, rest[:3])
    before = runs.setdefault(name, [])
    if not before:
      assert step == 0, f'{name} began at {step}'
    else:
      last, number, by = before[-1]
      assert claim >= number, f'{name}: claim {claim} wrote after {number}'
      assert (pid == by) or claim > number
      if (pid, claim) == (by, number) or (pid == by and step == last + 1):
        assert step == last + 1, f'{name}: {step} after {last}'
      else:  # the last checkpoint may not be that of the last step
        taken += 1
        if step == last + 1:  # after a notice, which saves at any step
          saved.add((name, step))
        assert step % every == 0 or (name, step) in saved
        assert last - behind < step <= last + 1
    before.append((step, claim, pid))
  assert sorted(runs) == sorted(names)
  assert all(run[-1][0] == steps - 1 for run in runs.values())
  return taken
