"""Where a number was made."""

import os
import platform
import subprocess

import flax
import jax


def provenance() -> dict[str, str]:
  """Where a number was made: commit, device, versions."""
  git = subprocess.run(
    ['git', '-C', os.path.dirname(__file__), 'describe', '--always', '--dirty'],
    capture_output=True, text=True, check=False,
  )  # fmt: skip
  return dict(
    commit=git.stdout.strip() or 'unknown',
    device=f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    versions=f'python {platform.python_version()}, jax {jax.__version__}, '
    f'flax {flax.__version__}',
  )
