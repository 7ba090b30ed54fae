"""What commands say, to whom, and what a library leaves alone."""

import logging
import subprocess
import sys

import jax.numpy as jnp

from extrapolation import attention, cli
from extrapolation.output import logs

log = logging.getLogger('extrapolation.some.room')


def test_each_level_has_its_reader(capsys):
  log.debug('asked for')
  log.info('%d runs', 3)
  log.warning('look out')
  out, err = capsys.readouterr()
  assert (out, err) == ('3 runs\n', 'warning: look out\n')
  cli.parser('A command.').parse_args(['--verbose'])
  log.debug('asked for')
  assert capsys.readouterr().err == 'debug: asked for\n'


def test_set_up_twice_each_line_is_said_once(capsys):
  logs.setup()
  log.info('once')
  assert capsys.readouterr().out == 'once\n'


def test_within_a_sweep_a_run_only_warns(capsys):
  with logs.warnings_only():
    log.info('trained')
    log.warning('a checkpoint is damaged')
  log.info('next')
  out, err = capsys.readouterr()
  assert (out, err) == ('next\n', 'warning: a checkpoint is damaged\n')
  logs.setup(verbose=True)
  with logs.warnings_only():
    log.info('trained')
  assert capsys.readouterr().out == 'trained\n'  # all was asked for


def test_other_processes_are_silent(capsys):
  logs.silence()
  log.error('what process 0 says as well')
  assert capsys.readouterr() == ('', '')


def test_verbose_shows_which_attention_is_chosen(capsys):
  cli.parser('A command.').parse_args(['--verbose'])
  attention.choose.cache_clear()
  x = jnp.ones((1, 8, 2, 4))
  attention.attend(x, x, x, jnp.zeros((2, 8)))
  said = capsys.readouterr().err
  assert 'debug: attention: reference (cpu, float32, T = 8)\n' in said


def test_a_library_leaves_logging_alone():
  code = """
import logging
from extrapolation import evaluate, generate, report, runs, sweep, train
runs.Metrics
for name in ('extrapolation', 'absl'):
  log = logging.getLogger(name)
  print(name, log.isEnabledFor(logging.ERROR), log.disabled)
print(logging.getLogger('extrapolation').handlers)
"""
  out = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  ).stdout
  assert out == 'extrapolation True False\nabsl True False\n[]\n'
