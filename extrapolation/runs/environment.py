"""Where a number was made."""

import contextlib
import importlib
import os
import pathlib
import platform
import subprocess

import flax
import jax

ROOT = pathlib.Path(__file__).resolve().parents[2]


def provenance() -> dict[str, str]:
  """Where a number was made: commit, device, versions."""
  return dict(
    commit=commit(),
    device=f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    versions=f'python {platform.python_version()}, jax {jax.__version__}, '
    f'flax {flax.__version__}',
  )


def commit() -> str:
  """What `git describe` says of this code; 'unknown' where nothing does.

  An installed package says it itself: the repository around it, if there is
  one, is another project's. A checkout is asked each time, as it changes.
  """
  with contextlib.suppress(ImportError):
    return importlib.import_module('extrapolation.runs._built').COMMIT
  if not (ROOT / 'setup.py').is_file():
    return 'unknown'
  top = _git('rev-parse', '--show-toplevel')
  if not top or pathlib.Path(top).resolve() != ROOT:
    return 'unknown'
  return _git('describe', '--always', '--dirty') or 'unknown'


def _git(*argv: str) -> str:
  """What git says; nothing where there is no git, or it refuses."""
  # In a hook of another repository these name that one.
  env = {k: v for k, v in os.environ.items() if not k.startswith('GIT_')}
  with contextlib.suppress(OSError):
    return subprocess.run(
      ['git', '-C', str(ROOT), *argv], env=env,
      capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
  return ''
