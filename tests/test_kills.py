"""A longer run: it learns, and no kill nor full disk costs it a bit."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from extrapolation import runs, train
from tests.commands import command
from tests.test_train import assert_same_bits, final, with_

ROOT = pathlib.Path(__file__).parent.parent
OFTEN = dict(train__checkpoint_every=6, train__valid_every=0)


@pytest.fixture(scope='module')
def longer(trained, tmp_path_factory):
  """A config of 150 steps, long enough to be killed in, and its plain run."""
  c = with_(runs.load_config(str(trained)), train__steps=150, **OFTEN)
  folder = tmp_path_factory.mktemp('longer') / 'run'
  train.train(c, str(folder))
  return c, folder


def test_loss_falls_on_text_that_can_be_learnt(longer):
  rows = runs.read_metrics(str(longer[1]))
  assert rows[-1]['loss'] < 0.65 * np.log(257)  # bytes, and eos


def kill_at_random(c, plain, tmp_path, kills: int):
  """Kills a training process `kills` times, at moments spread over its life."""
  workdir = tmp_path / 'killed'
  argv = command(c, tmp_path, f'--workdir={workdir}')
  rng = np.random.default_rng(0)
  done = 0
  for _ in range(kills):
    child = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    # Wait until it trains, then kill it a few steps, or a save, later.
    seen = _size(workdir)
    while child.poll() is None and _size(workdir) == seen:
      time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.3))
    if child.poll() is None:
      child.send_signal(signal.SIGKILL)
      done += 1
    child.wait()
  end = subprocess.run(
    argv, cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert end.returncode == 0, end.stderr
  assert_same_bits(final(workdir), final(plain))
  rows = runs.read_metrics(str(workdir))
  assert [r['step'] for r in rows] == list(range(1, c.train.steps + 1))
  return done


def _size(workdir):
  path = workdir / 'metrics.jsonl'
  return os.path.getsize(path) if path.exists() else 0


def test_kill_9_and_resume(longer, tmp_path):
  """Once; ten times is slow."""
  assert kill_at_random(*longer, tmp_path, kills=1) == 1


# What is compiled would not fit the disk either.
NO_CACHE = os.environ | {'JAX_ENABLE_COMPILATION_CACHE': 'false'}


FULL = """
import resource, signal, sys
from extrapolation import cli, train
from extrapolation.runs import checkpoint
save = checkpoint.Checkpoints.save
def full(self, step, *args, **kw):
  if step == 4:  # from here on no file can grow beyond 4 KiB
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, 1 << 12))
  return save(self, step, *args, **kw)
checkpoint.Checkpoints.save = full
cli.run(train.main, sys.argv[1:])
"""


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_and_costs_no_bit(
  trained, tmp_path, capsys
):
  c = runs.load_config(str(trained))
  argv = command(c, tmp_path, f'--workdir={tmp_path / "full"}')
  argv = argv[3:]  # without python -m extrapolation.train
  done = subprocess.run(
    [sys.executable, '-c', FULL, *argv], cwd=ROOT, capture_output=True,
    text=True, check=False, env=NO_CACHE,
  )  # fmt: skip
  assert done.returncode == 2, done.stderr
  assert 'File too large' in done.stderr
  assert 'last good checkpoint: step 2' in done.stderr
  train.train(c, str(tmp_path / 'full'))
  assert 'after step 2' in capsys.readouterr().out
  assert_same_bits(final(tmp_path / 'full'), final(trained))


@pytest.mark.slow
def test_kill_9_ten_times_and_resume(trained, tmp_path):
  c = with_(runs.load_config(str(trained)), train__steps=600, **OFTEN)
  train.train(c, str(tmp_path / 'plain'))
  assert kill_at_random(c, tmp_path / 'plain', tmp_path, kills=10) == 10
