"""Readers that leave, terminals that cannot show a letter, no such device."""

import os
import pathlib
import subprocess
import sys

import pytest

from extrapolation.output import exit_codes
from extrapolation.runs import read_metrics
from tests.commands import command

ROOT = pathlib.Path(__file__).parents[2]


def shell(line: str, **env: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    ['bash', '-c', line.replace('PYTHON', sys.executable)], cwd=ROOT,
    capture_output=True, env=os.environ | env,
  )  # fmt: skip


THEORY = 'PYTHON -m extrapolation.theory --rpe=alibi,type2,none --eps=0.1'


@pytest.mark.parametrize(
  'form', ['text', 'csv', pytest.param('json', marks=pytest.mark.slow)]
)
def test_a_pipe_that_closes_ends_a_print_as_other_tools(form):
  line = f'{THEORY} --format={form} | true; echo ${{PIPESTATUS[0]}}'
  done = shell(line)
  assert done.stdout.split() == [str(exit_codes.UNREAD).encode()]
  assert done.stderr == b''


def test_training_goes_on_when_its_reader_leaves(tiny, tmp_path):
  argv = command(tiny, tmp_path, f'--workdir={tmp_path}/run')[1:]
  line = f'PYTHON {" ".join(argv)} 2>&1 | head -1; echo ${{PIPESTATUS[0]}}'
  done = shell(line)
  assert done.stdout.split()[-1] == str(exit_codes.UNREAD).encode()
  assert done.stderr == b''
  assert read_metrics(str(tmp_path / 'run'))[-1]['step'] == 6


def test_generation_stops_when_its_reader_leaves(trained):
  line = (
    f'PYTHON -m extrapolation.generate --workdir={trained} --tokens=400 '
    '--prompt=12 | head -c 1; echo " ${PIPESTATUS[0]}"'
  )
  done = shell(line)
  assert done.stdout == b'1 %d\n' % exit_codes.UNREAD
  assert b'Traceback' not in done.stderr and b'Broken' not in done.stderr


ASCII = {'PYTHONIOENCODING': 'ascii'}
C = {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}


@pytest.mark.parametrize(
  'env', [ASCII, pytest.param(C, marks=pytest.mark.slow)]
)
def test_a_letter_that_cannot_be_shown_is_replaced(env, trained):
  line = (
    f'PYTHON -m extrapolation.generate --workdir={trained} --tokens=2 '
    "--prompt='é≤😀'"
  )
  done = shell(line, **env)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith(b'\\xe9\\u2264\\U0001f600')


@pytest.mark.parametrize(
  'env', [ASCII, pytest.param(C, marks=pytest.mark.slow)]
)
def test_nor_can_one_in_an_error(env):
  """By the command that starts first: all write their errors in one way."""
  bad = shell("PYTHON -m extrapolation.theory --rpe='é'", **env)
  assert bad.returncode == 2
  assert bad.stderr.startswith(b"error: no encoding '\\")


def test_a_file_name_that_is_no_text_is_shown_as_its_bytes():
  code = (
    'from extrapolation import cli; from extrapolation.output import logs; '
    'logs.setup(); import logging, os; '
    'cli.run(lambda argv: logging.getLogger("extrapolation").info('
    'os.fsdecode(b"a\\xffb")))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True
  )
  assert (done.returncode, done.stdout) == (0, b'a\xffb\n'), done.stderr


@pytest.mark.parametrize(
  'platform', ['tpu', 'nonsense', pytest.param('cuda', marks=pytest.mark.slow)]
)
def test_a_platform_that_is_not_there_is_one_line(platform, tiny, tmp_path):
  argv = command(tiny, tmp_path, f'--workdir={tmp_path}/run')[1:]
  done = shell(f'PYTHON {" ".join(argv)}', JAX_PLATFORMS=platform)
  lines = done.stderr.decode().splitlines()
  errors = [line for line in lines if line.startswith('error:')]
  assert done.returncode == 2 and b'Traceback' not in done.stderr, done.stderr
  assert errors[0].startswith(
    f'error: JAX_PLATFORMS={platform}: no such device'
  )
  assert 'unset it' in errors[0] and lines[-1].startswith('(EXTRAPOLATION')
  assert not (tmp_path / 'run').exists()
