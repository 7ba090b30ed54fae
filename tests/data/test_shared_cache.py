"""A cache that two users of one group share."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
GROUP, OTHER = 4242, 4343

# The first user is root, whose modules are loaded by then.
TWO = f"""
import os, pathlib, sys
from extrapolation import cli, data
from extrapolation.output import logs
folder = pathlib.Path(sys.argv[1])
def prepare(argv):
  made = data.prepare(
    source=f'files:{{folder}}/text.txt', cache=str(folder / 'cache'))
  print(made.tokens('train')[:3].tolist())
prepare([])
os.setgroups([]), os.setgid({GROUP}), os.setuid({OTHER})
cli.run(prepare)
"""


@pytest.fixture
def folder():
  """One that every user can enter, which those of pytest are not."""
  path = pathlib.Path(tempfile.mkdtemp(dir='/tmp'))
  path.chmod(0o755)
  (path / 'cache').mkdir()
  (path / 'cache').chmod(0o2770)
  os.chown(path / 'cache', -1, GROUP)
  (path / 'text.txt').write_text('abc\n' * 200)
  os.chown(path / 'text.txt', -1, GROUP)
  yield path
  shutil.rmtree(path)


def two(folder: pathlib.Path) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-c', TWO, str(folder)],
    cwd=ROOT, capture_output=True, text=True,
  )  # fmt: skip


root = pytest.mark.skipif(os.getuid() != 0, reason='needs two users')


@root
def test_what_all_may_read_is_shared(folder):
  (folder / 'text.txt').chmod(0o644)
  done = two(folder)
  assert done.returncode == 0, done.stderr
  assert done.stdout.count('[97, 98, 99]') == 2


@root
def test_what_is_not_for_all_is_refused_with_what_to_do(folder):
  (folder / 'text.txt').chmod(0o640)
  done = two(folder)
  assert done.returncode == 2 and 'Traceback' not in done.stderr, done.stderr
  line = next(x for x in done.stderr.splitlines() if x.startswith('error:'))
  assert 'for its owner alone' in line, line
  assert 'choose another data.cache' in line
