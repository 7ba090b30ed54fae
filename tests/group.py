"""Runs of two processes with two devices each, as the tests start them."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np

from extrapolation import config
from extrapolation.runs import checkpoint, checkpoint_reader, commit
from tests import conftest
from tests.commands import CONFIG

ROOT = pathlib.Path(__file__).parent.parent


class Runs:
  """A config in a folder, and commands that train it in float64 by SGD."""

  def __init__(self, path: pathlib.Path, steps: int):
    e = conftest.tiny_config(path)
    e = config.override(e, {'optim.rule': 'sgd', 'train.steps': str(steps)})
    values = e.to_dict()
    values['model']['dtype'] = 'float64'  # which this process may not have
    values['train'].update(checkpoint_every=5, valid_every=0)
    values['parallel'].update(data=1, fsdp=4)
    (path / 'tiny.json').write_text(json.dumps(values))
    (path / 'tiny.py').write_text(CONFIG)
    self.path = path
    self.env = os.environ | dict(
      PYTHONPATH=str(ROOT),
      PYTHONUNBUFFERED='1',
      JAX_ENABLE_X64='1',
    )

  def command(self, name: str, *flags: str) -> list[str]:
    return [
      *(sys.executable, '-m', 'extrapolation.train'),
      f'--config={self.path}/tiny.py',
      f'--workdir={self.path / name}',
      *flags,
    ]

  def alone(self, name: str, *flags: str, devices=1):
    env = self.env | dict(JAX_NUM_CPU_DEVICES=str(devices))
    return subprocess.run(
      self.command(name, *flags), env=env, capture_output=True, text=True
    )

  def together(self, name: str, *flags: str, retries=0) -> subprocess.Popen:
    """By launch/local.py."""
    log = open(self.path / f'{name}.log', 'a')  # noqa: SIM115
    launch = [
      *(sys.executable, 'launch/local.py', '--processes=2', '--devices=2'),
      *(f'--retries={retries}', '--'),
      *self.command(name, '--join_timeout=60', *flags),
    ]
    return subprocess.Popen(
      launch, env=self.env, cwd=ROOT, stdout=log, stderr=log
    )

  def said(self, name: str) -> str:
    return (self.path / f'{name}.log').read_text()

  def rows(self, name: str) -> int:
    path = self.path / name / 'metrics.jsonl'
    return path.read_bytes().count(b'\n') if path.exists() else 0

  def saving(self, name: str) -> bool:
    """Whether a checkpoint is begun and not complete."""
    folder = self.path / name / 'checkpoints'
    try:
      return any(checkpoint.UNNAMED.fullmatch(p.name) for p in folder.iterdir())
    except OSError:
      return False

  def arrays(self, name: str) -> dict[str, np.ndarray]:
    """All arrays of the newest checkpoint; JAX has no float64 in a test."""
    saved = checkpoint_reader.CheckpointReader(str(self.path / name))
    newest = saved.path / str(saved.steps()[-1])
    body = json.loads((newest / commit.FILE).read_text())
    arrays = {
      f'{item}.{key}': x
      for item, keys in body['arrays'].items()
      for key, x in saved.numpy(newest / item, keys).items()
    }
    assert {x.dtype.name for x in arrays.values()} >= {'float64'}
    return arrays | {'step': np.asarray(body['step'])}


def children(launcher: subprocess.Popen) -> list[int]:
  """Process ids of what a launcher has started and not yet seen end."""
  path = pathlib.Path(f'/proc/{launcher.pid}/task/{launcher.pid}/children')
  try:
    return [int(pid) for pid in path.read_text().split()]
  except OSError:
    return []


def kill(pids: list[int], number: int) -> None:
  for pid in pids:
    try:
      os.kill(pid, number)
    except ProcessLookupError:
      continue


def wait_for(what, launcher, seconds=200.0) -> bool:
  """Until what() is true, or the launcher has ended; whether it is true."""
  end = time.monotonic() + seconds
  while not what():
    if launcher.poll() is not None:
      return False
    assert time.monotonic() < end, f'nothing happened within {seconds} s'
    time.sleep(0.001)
  return True


class Life:
  """The two processes of one try of a launcher, to be ended at some moment."""

  def __init__(self, runs: Runs, name: str, launcher):
    self.runs, self.name, self.launcher = runs, name, launcher
    self.pids = children(launcher)
    self.begun = self._begun()

  def _begun(self) -> int:
    return self.runs.said(self.name).count(' parameters, steps ')

  def until(self, moment: str, rng) -> bool:
    """Waits for the moment; False if the launcher ended before it."""
    if moment == 'starting':
      time.sleep(rng.uniform(0, 8))
      return True
    if not wait_for(lambda: self._begun() > self.begun, self.launcher):
      return False
    goal = self.runs.rows(self.name) + int(rng.integers(1, 15))
    saving = moment == 'saving'

    def ready():
      if saving and self.runs.saving(self.name):
        return True
      return self.runs.rows(self.name) >= goal

    time.sleep(rng.uniform(0, 0.2) if saving else 0)
    return wait_for(ready, self.launcher)

  def over(self) -> bool:
    return not set(self.pids) & set(children(self.launcher))


def disturb(runs: Runs, name: str, kills: int, rng) -> list[str]:
  """One run, by a launcher that tries again, with so many kills.

  Each hits one process or all, by SIGKILL or SIGTERM: some steps after the run
  goes on, in the middle of a save, or while processes start.
  """
  launcher = runs.together(name, retries=kills + 50)
  done = []
  while len(done) < kills:
    if not wait_for(lambda: len(children(launcher)) == 2, launcher):
      break
    life = Life(runs, name, launcher)
    moment = str(rng.choice(['steps', 'steps', 'saving', 'saving', 'starting']))
    if not life.until(moment, rng):
      break
    if moment != 'starting':
      moment = 'saving' if runs.saving(name) else 'steps'
    number = int(rng.choice([signal.SIGKILL, signal.SIGTERM]))
    who = life.pids if rng.random() < 0.4 else [int(rng.choice(life.pids))]
    kill(who, number)
    done.append(f'{signal.Signals(number).name} {moment} {len(who)}')
    wait_for(life.over, launcher)
  code = launcher.wait(timeout=600)
  assert code == 0, (code, done, runs.said(name)[-3000:])
  return done


def steps(runs: Runs, name: str) -> list[int]:
  lines = (runs.path / name / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['step'] for line in lines]


def tries(runs: Runs, name: str) -> int:
  return len(re.findall('trying again', runs.said(name)))
