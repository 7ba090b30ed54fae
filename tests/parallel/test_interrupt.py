"""Ctrl-C finishes the step and saves; twice, it ends at once."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from extrapolation.output import exit_codes
from extrapolation.runs import checkpoint_reader
from tests import group

ROOT = pathlib.Path(__file__).parents[2]


class Alone:
  """One process of its own group of processes, as in a terminal."""

  def __init__(self, path: pathlib.Path, steps: int = 20_000):
    self.runs = group.Runs(path, steps)
    values = json.loads((path / 'tiny.json').read_text())
    values['train']['checkpoint_every'] = 10_000
    values['parallel']['fsdp'] = 1
    (path / 'tiny.json').write_text(json.dumps(values))

  def start(self, *flags: str) -> subprocess.Popen:
    return subprocess.Popen(
      self.runs.command('run', *flags), env=self.runs.env, cwd=ROOT, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip

  def steps(self) -> list[int]:
    folder = str(self.runs.path / 'run')
    return checkpoint_reader.CheckpointReader(folder).steps()


def test_ctrl_c_loses_no_step_and_says_how_to_go_on(tmp_path):
  alone = Alone(tmp_path)
  child = alone.start()
  assert group.wait_for(lambda: alone.runs.rows('run') > 5, child)
  os.killpg(child.pid, signal.SIGINT)
  out, err = child.communicate(timeout=60)
  assert child.returncode == exit_codes.INTERRUPTED, err
  steps = alone.steps()
  assert steps == [group.steps(alone.runs, 'run')[-1]], err
  assert 'Ctrl-C: finishes this step' in out
  assert f'after step {steps[0]} and saved; the same command goes on' in err
  assert 'Traceback' not in err


SLOW = """
import sys, threading, time
from extrapolation import cli, train
from extrapolation.runs import checkpoint
def save(self, *args):
  print('saving', flush=True)
  time.sleep(200)
checkpoint.Checkpoints.save = save
cli.run(train.main, sys.argv[1:])
"""


def test_a_second_ctrl_c_ends_at_once(tmp_path):
  alone = Alone(tmp_path)
  argv = [sys.executable, '-c', SLOW, *alone.runs.command('run')[3:]]
  child = subprocess.Popen(
    argv, env=alone.runs.env, cwd=ROOT, text=True, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, start_new_session=True,
  )  # fmt: skip
  assert group.wait_for(lambda: alone.runs.rows('run') > 5, child)
  os.killpg(child.pid, signal.SIGINT)
  while 'saving' not in child.stdout.readline():
    assert child.poll() is None
  os.killpg(child.pid, signal.SIGINT)
  _, err = child.communicate(timeout=20)
  assert child.returncode == exit_codes.INTERRUPTED
  assert err.splitlines()[-1].startswith('ended at once; the same command goes')
  assert 'Traceback' not in err


@pytest.mark.slow
def test_two_processes_save_after_the_same_step(tmp_path):
  runs = group.Runs(tmp_path, steps=20_000)
  launcher = runs.together('two', '--config.train.checkpoint_every=10000')
  assert group.wait_for(lambda: runs.rows('two') > 5, launcher), runs.said(
    'two'
  )
  group.kill(group.children(launcher), signal.SIGINT)
  assert launcher.wait(timeout=90) == exit_codes.INTERRUPTED, runs.said('two')
  folder = str(tmp_path / 'two')
  steps = checkpoint_reader.CheckpointReader(folder).steps()
  assert steps == [group.steps(runs, 'two')[-1]]
  assert f'after step {steps[0]} and saved' in runs.said('two')


def test_ctrl_c_before_there_is_anything_to_save_is_one_line(capsys):
  from extrapolation import cli

  def main(argv):
    raise KeyboardInterrupt

  with pytest.raises(SystemExit) as stopped:
    cli.run(main, [])
  assert stopped.value.code == exit_codes.INTERRUPTED
  assert capsys.readouterr().err == 'interrupted\n'


def test_a_notebook_gets_a_keyboard_interrupt_and_its_handler_back():
  from extrapolation.parallel import preemption

  before = signal.getsignal(signal.SIGINT)
  # A command that another test called in this process would have left its own.
  sigterm = signal.signal(signal.SIGTERM, signal.SIG_DFL)
  try:
    with (
      pytest.raises(KeyboardInterrupt),
      preemption.Preemption(ctrl_c=True) as notice,
    ):
      signal.raise_signal(signal.SIGINT)
      while not notice.due():
        pass
      assert notice.stopped('saved').code == exit_codes.INTERRUPTED
      signal.raise_signal(signal.SIGINT)
  finally:
    signal.signal(signal.SIGTERM, sigterm)
  assert signal.getsignal(signal.SIGINT) is before
  assert signal.set_wakeup_fd(-1) == -1


BUSY = """
import hashlib
from extrapolation.output import logs
from extrapolation.parallel import preemption
logs.setup()
preemption.exit_on_sigterm()
with preemption.Preemption(ctrl_c=True):
  print('ready', flush=True)
  # C code for a minute, as when XLA compiles: Python runs no handler.
  hashlib.pbkdf2_hmac('sha256', b'', b'', 100_000_000)
"""


def test_while_a_program_is_compiled_both_are_answered_at_once():
  child = subprocess.Popen(
    [sys.executable, '-c', BUSY], cwd=ROOT, text=True, stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL, start_new_session=True,
  )  # fmt: skip
  assert child.stdout.readline() == 'ready\n'
  child.send_signal(signal.SIGINT)
  assert child.stdout.readline().startswith('Ctrl-C: finishes this step')
  child.send_signal(signal.SIGINT)
  assert child.wait(timeout=5) == exit_codes.INTERRUPTED
