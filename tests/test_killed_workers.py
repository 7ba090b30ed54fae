"""Workers that share runs, killed and paused at random."""

import json
import random
import signal
import threading
import time

import pytest

from tests.chaos import verify_log
from tests.test_leases import FOREIGN, kill, process

# A job of 40 steps, each written once, with a checkpoint every fourth; as a
# run of a sweep is, without the seconds that training takes.
WORK = """
import json, pathlib, random
root, names, seconds = pathlib.Path(sys.argv[1]), sys.argv[2].split(','), 1.0
log = open(root / 'log', 'a')  # appends of a line are whole

def work(folder, lease):
  saved = folder / 'saved'
  steps = json.loads(saved.read_text()) if saved.exists() else []
  for step in range(len(steps), 40):
    lease.check()
    about = folder.name, step, lease.path.name, os.getpid(), time.monotonic()
    line = ' '.join(map(str, about)) + '\\n'
    os.write(log.fileno(), line.encode())
    steps.append(step)
    time.sleep(0.015)  # long enough that kills fall within
    if len(steps) % 4 == 0:
      temporary = folder / f'.saved{os.getpid()}'
      temporary.write_text(json.dumps(steps))
      lease.check()
      temporary.replace(saved)
  (folder / 'done').touch()

while True:
  left = [n for n in names if not (root / n / 'done').exists()]
  if not left: break
  random.shuffle(left)
  for name in left:
    try:
      with leases.take(root / name, seconds) as lease:
        if not (root / name / 'done').exists():
          work(root / name, lease)
    except (leases.Held, leases.Lost):
      pass
  time.sleep(0.02)
"""


def chaos(root, workers, runs, kills, seed, foreign):
  """Kills and pauses workers at random, replaces them, until all is done."""
  rng = random.Random(seed)
  names = [f'run{i}' for i in range(runs)]

  def start():
    code = FOREIGN.join(['', '\n']) * foreign + WORK
    return process(code, root, ','.join(names))

  alive, deaths = [start() for _ in range(workers)], []
  deadline = time.monotonic() + 60
  while any(not (root / n / 'done').exists() for n in names):
    assert time.monotonic() < deadline, 'not done in a minute'
    time.sleep(rng.uniform(0.02, 0.2))
    for i, child in enumerate(alive):
      if child.poll() is not None and child.returncode == 0:
        continue
      if kills and rng.random() < 0.3:
        kills -= 1
        if rng.random() < 0.3:  # sleeps beyond its lease, then goes on
          kill(child, signal.SIGSTOP)
          threading.Timer(1.6, kill, (child, signal.SIGCONT)).start()
          continue
        kill(child)
        deaths.append(child.pid)
        alive[i] = start()
  for child in alive:
    child.communicate()
    assert child.returncode == 0
  return names, deaths


@pytest.mark.parametrize('foreign', [False, True])
def test_killed_workers_do_every_run_once(tmp_path, foreign):
  names, deaths = chaos(tmp_path, 3, 6, 12, seed=foreign, foreign=foreign)
  for name in names:
    saved = json.loads((tmp_path / name / 'saved').read_text())
    assert saved == list(range(40))
  taken = verify_log((tmp_path / 'log').read_text(), names, 40, 4, 4)
  assert len(deaths) >= 3 and taken >= 1
