"""The folder of compiled programs: of the user alone, bounded, optional."""

import os
import subprocess
import sys

import jax
import pytest

from extrapolation.cli import compilation_cache


@pytest.fixture(autouse=True)
def _settings():
  """JAX without a cache, as a command finds it; put back afterwards."""
  names = (
    'jax_compilation_cache_dir',
    'jax_persistent_cache_min_compile_time_secs',
  )
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update('jax_compilation_cache_dir', None)
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_the_folder_is_made_for_the_user_alone(tmp_path):
  folder = tmp_path / 'a' / 'compiled'
  compilation_cache.enable(str(folder))
  assert folder.stat().st_mode & 0o777 == 0o700
  assert jax.config.jax_compilation_cache_dir == str(folder)


def test_a_folder_that_others_can_write_is_refused(tmp_path, capsys):
  tmp_path.chmod(0o770)
  compilation_cache.enable(str(tmp_path))
  assert jax.config.jax_compilation_cache_dir is None
  assert 'can be written by others' in capsys.readouterr().err


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'getuid', lambda: 12345)
  compilation_cache.enable(str(tmp_path))
  assert jax.config.jax_compilation_cache_dir is None


def test_without_a_home_it_compiles_anew_and_says_so(tmp_path, capsys):
  (tmp_path / 'file').touch()
  compilation_cache.enable(str(tmp_path / 'file' / 'compiled'))
  assert jax.config.jax_compilation_cache_dir is None
  err = capsys.readouterr().err
  assert err.count('\n') == 1 and 'compiled anew by every command' in err


def test_a_folder_that_the_user_chose_stays(tmp_path):
  jax.config.update('jax_compilation_cache_dir', 'chosen')
  compilation_cache.enable(str(tmp_path))
  assert jax.config.jax_compilation_cache_dir == 'chosen'


def test_the_oldest_go_when_it_grows(tmp_path, monkeypatch):
  monkeypatch.setattr(compilation_cache, 'MAX_BYTES', 250)
  for age, name in enumerate('abc'):
    (tmp_path / name).write_bytes(b'x' * 100)
    os.utime(tmp_path / name, (1000 - age, 1000 - age))
  tmp_path.chmod(0o700)
  compilation_cache.enable(str(tmp_path))
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a', 'b']


COMPUTE = """
import sys
from extrapolation.cli import compilation_cache
compilation_cache.MIN_SECONDS = 0.0
compilation_cache.enable(sys.argv[1])
import jax
print(jax.jit(lambda x: 2 * x + 1)(20.0))
"""


def test_what_a_killed_process_left_half_written_is_compiled_anew(tmp_path):
  folder = tmp_path / 'compiled'
  env = {k: v for k, v in os.environ.items() if 'CACHE' not in k}

  def compute() -> tuple[str, str]:
    done = subprocess.run(
      [sys.executable, '-c', COMPUTE, str(folder)], env=env,
      capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr

  assert compute() == ('41.0\n', '')
  files = list(folder.iterdir())
  assert files
  for i, path in enumerate(files):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * (i % 3) // 3])
  assert compute() == ('41.0\n', '')
