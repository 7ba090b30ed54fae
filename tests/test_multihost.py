"""Processes that meet, agree, and end together; or say why they cannot."""

import pathlib
import random
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from extrapolation import cli, config, train
from extrapolation.parallel import multihost, peers
from extrapolation.runs import read_metrics
from tests import group

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--num_processes=2'], 'together'),
    (['--coordinator=a:1', '--num_processes=2'], 'together'),
    (['--coordinator=:1', '--num_processes=2', '--process_id=0'], 'HOST:PORT'),
    (['--coordinator=a', '--num_processes=2', '--process_id=0'], 'HOST:PORT'),
    (['--coordinator=a:1', '--num_processes=2', '--process_id=2'], '0 <= I <'),
    (['--multihost'], 'no TPU pod and no Slurm job found'),
    (['--multihost', '--process_id=1'], 'finds the others itself'),
  ],
)
def test_flags_that_make_no_group_are_refused(flags, message, tmp_path, capsys):
  with pytest.raises(SystemExit) as stopped:
    cli.run(
      train.main,
      ['--config=configs/demo.py', f'--workdir={tmp_path}/r', *flags],
    )
  assert stopped.value.code == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / 'r').exists()


def test_slurm_is_found_by_its_variables(monkeypatch):
  for name, value in dict(
    SLURM_JOB_ID='77',
    SLURM_STEP_NODELIST='gpu[07-09],cpu1',
    SLURM_NTASKS='3',
    SLURM_PROCID='2',
    SLURM_LOCALID='0',
    SLURM_STEP_NUM_NODES='3',
  ).items():
    monkeypatch.setenv(name, value)
  address, n, me = multihost._detected()
  assert (address.split(':')[0], n, me) == ('gpu07', 3, 2)


def test_the_code_of_all_processes_is_compared():
  code = multihost._code()
  assert {'train.py', 'model/network.py', 'parallel/multihost.py'} <= {*code}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """A run of two processes with two devices each, in float64."""
  runs = group.Runs(tmp_path_factory.mktemp('runs'), steps=12)
  launcher = runs.together('two')
  assert launcher.wait(timeout=200) == 0, runs.said('two')
  return runs


def test_two_processes_equal_one_device(runs):
  with jax.enable_x64(True):
    e = config.load(f'{runs.path}/tiny.py', {'parallel.fsdp': '1'})
    train.train(e, f'{runs.path}/one')
  one, two = runs.arrays('one'), runs.arrays('two')
  assert one.keys() == two.keys() and any(k.startswith('opt') for k in one)
  for name, x in one.items():
    np.testing.assert_allclose(two[name], x, rtol=0, atol=1e-12, err_msg=name)
    assert x.dtype == two[name].dtype
  assert two['params.embed.embedding'].dtype == np.float64
  a, b = (read_metrics(str(runs.path / name)) for name in ('one', 'two'))
  assert [r['step'] for r in b] == [*range(1, 13)]
  for x, y in zip(a, b, strict=True):
    for name in ('loss', 'grad_norm', 'param_norm'):
      np.testing.assert_allclose(y[name], x[name], rtol=1e-12)


def test_one_process_speaks_for_all(runs):
  said = runs.said('two').splitlines()
  ours = [line for line in said if ' parameters, steps ' in line]
  assert len(ours) == 1 and ours[0].startswith('[0] ')


def test_both_processes_hold_and_save_parts(runs):
  params = runs.path / 'two' / 'checkpoints' / '10' / 'params'
  for process in (0, 1):
    files = (params / f'ocdbt.process_{process}').rglob('*')
    assert sum(p.stat().st_size for p in files if p.is_file()) > 1000


@pytest.mark.slow
def test_one_process_goes_on_where_two_stopped(runs):
  """Another layout is the same run; the steps are those of one device."""
  import shutil

  shutil.copytree(runs.path / 'two', runs.path / 'on')
  shutil.rmtree(runs.path / 'on' / 'checkpoints' / '12')
  done = runs.alone('on', '--config.parallel.fsdp=1')
  assert done.returncode == 0, done.stderr
  assert 'after step 10' in done.stdout
  two, on = runs.arrays('two'), runs.arrays('on')
  for name, x in two.items():
    np.testing.assert_allclose(on[name], x, rtol=0, atol=1e-12, err_msg=name)


def start_two(runs, name, *second):
  # Another group's JAX takes the port after its own, as this is being chosen.
  port = peers.free_port(random.randrange(31_000, 40_000))
  env = runs.env | dict(JAX_NUM_CPU_DEVICES='2')
  return [
    subprocess.Popen(
      runs.command(name, f'--coordinator=localhost:{port}', '--num_processes=2',
                   f'--process_id={i}', *(second if i else ())),
      env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    for i in (0, 1)
  ]  # fmt: skip


def test_another_config_in_one_process_is_refused(runs):
  children = start_two(runs, 'mixed', '--config.train.B=8')
  said = [child.communicate(timeout=100)[0] for child in children]
  assert [child.returncode for child in children] == [2, 2]
  for text in said:
    assert 'process 1 differs from process 0' in text
    assert 'config.train.B: 4 -> 8' in text
  assert not (runs.path / 'mixed').exists()


ONE_OF_TWO = [pytest.param(0, marks=pytest.mark.slow), 1]


@pytest.mark.slow
@pytest.mark.parametrize('victim', ONE_OF_TWO)
def test_a_death_ends_the_other_at_once_with_a_message(runs, victim):
  name = f'dead{victim}'
  children = start_two(runs, name, *())
  try:
    end = time.monotonic() + 100
    while runs.rows(name) < 2 and time.monotonic() < end:
      time.sleep(0.01)
    children[victim].kill()
    start = time.monotonic()
    text = children[1 - victim].communicate(timeout=30)[0]
    assert time.monotonic() - start < 30
    assert children[1 - victim].returncode in (69, -6)  # -6: JAX was faster
    assert f'process {victim} is gone' in text or 'died' in text
  finally:
    for child in children:
      child.kill()
      child.wait()


@pytest.mark.parametrize('victim', ONE_OF_TWO)
def test_a_notice_while_the_group_forms_ends_both_to_be_run_again(victim):
  port = peers.free_port(random.randrange(10_000, 30_000))
  code = f"""
import argparse, jax, sys
from extrapolation.parallel import multihost, peers
peers.GRACE = 2.0
real = jax.distributed.initialize
def initialize(*args, **kw):
  real(*args, **kw)
  if args[2] == {victim}:
    sys.exit(75)  # what SIGTERM raises until there is something to save
jax.distributed.initialize = initialize
args = argparse.Namespace(multihost=False, coordinator='localhost:{port}',
  num_processes=2, process_id=int(sys.argv[1]), join_timeout=60.0)
with multihost.group(args):
  jax.process_index()  # waits for the other, without end in sight
"""
  children = [
    subprocess.Popen(
      [sys.executable, '-c', code, str(i)],
      cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    for i in (0, 1)
  ]  # fmt: skip
  try:
    said = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [75, 75], said
    assert f'process {victim} stopped' in said[1 - victim]
  finally:
    for child in children:
      child.kill()
