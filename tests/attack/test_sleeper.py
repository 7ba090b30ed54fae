"""A worker that slept past its lease, and wakes, harms nobody."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from extrapolation import config, runs, train
from extrapolation.output import files
from extrapolation.runs import checkpoint, leases
from tests.conftest import tiny_config

ROOT = pathlib.Path(__file__).parent.parent.parent

# Trains or evaluates a run with a lease of a second, as another machine (flock
# says nothing there); stops itself when it calls a function for the n-th time.
SLEEPER = """
import os, signal, sys
from extrapolation import cli, evaluate, runs, train
from extrapolation.output import files
from extrapolation.runs import arrays, checkpoint, commit, leases, metrics
leases._kernel = lambda: f'machine of {os.getpid()}'
folder, what, where, name, count = sys.argv[1:]
owner = eval(where)
real, seen = getattr(owner, name), []
def stops(*args, **more):
  seen.append(0)
  if len(seen) == int(count):
    print('asleep', flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
  return real(*args, **more)
setattr(owner, name, stops)
def main(argv):
  with leases.take(folder + '/run', 1.0) as lease:
    e = runs.load_config(folder, 'tiny.json')
    train.train(e, folder + '/run', lease)
    evaluate.evaluate(folder + '/run', lease=lease)
cli.run(main, [])
"""


def tree(folder: pathlib.Path) -> dict[str, bytes]:
  """All that a run holds but what a process has for itself.

  That is claims, events, and a checkpoint that is begun: TOKEN-STEP.
  """
  paths = [p.relative_to(folder) for p in folder.rglob('*') if p.is_file()]
  return {
    str(p): (folder / p).read_bytes()
    for p in paths
    if p.parent.name not in ('.claims', 'tensorboard')
    and not any(checkpoint.UNNAMED.fullmatch(part) for part in p.parts)
  }


def sleep(path: pathlib.Path, what: str) -> subprocess.Popen:
  child = subprocess.Popen(
    [sys.executable, '-c', SLEEPER, str(path), '-', *what.split()],
    cwd=ROOT,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  said = ''
  for line in child.stdout:
    said += line
    if line == 'asleep\n':
      return child
  raise AssertionError(f'never slept at {what}: {said}')


@pytest.mark.slow
@pytest.mark.parametrize(
  'where',
  [
    # Arrays are being written; are about to be synced; COMMIT is to be written;
    # the lease is asked, for the name; what is old is to go.
    'checkpoint.Checkpoints _commit 2',
    'checkpoint.Checkpoints _begin 2',
    'commit sync 2',
    'commit write 3',
    'checkpoint.Checkpoints _ask 2',
    'os rename 3',
    'commit remove 1',
    'metrics.Metrics write 4',
    'metrics.Metrics flush 2',
    'train _write_rpe 2',
    'evaluate _write 1',
    'evaluate one_length 2',
  ],
)
def test_a_sleeper_that_wakes_harms_nobody(tmp_path, where):
  e = config.override(tiny_config(tmp_path), {'train.keep': '1'})
  files.write_json(tmp_path / 'tiny.json', e.to_dict())
  child = sleep(tmp_path, where)
  try:
    run = str(tmp_path / 'run')
    end = time.monotonic() + 30
    while True:
      try:
        lease = leases.take(run, 1.0)
        break
      except leases.Held:
        assert time.monotonic() < end
        time.sleep(0.05)
    with lease:
      train.train(e, run, lease)
      before = tree(tmp_path / 'run')
      child.send_signal(signal.SIGCONT)
      said, _ = child.communicate(timeout=60)
      assert child.returncode == 2 and 'lost the claim' in said, said
      assert tree(tmp_path / 'run') == before
  finally:
    child.kill()
    child.wait()
  assert [row['step'] for row in runs.read_metrics(run)] == [1, 2, 3, 4, 5, 6]
  train.train(e, str(tmp_path / 'alone'))
  want, got = runs.load(str(tmp_path / 'alone')), runs.load(run)
  jax.tree.map(np.testing.assert_array_equal, got.params, want.params)
