"""Compiled programs kept on disk between commands."""

import contextlib
import logging
import os
import pathlib
import warnings

import jax

from extrapolation.cli import paths

log = logging.getLogger(__name__)

FOLDER = '~/.cache/extrapolation/compiled'
MAX_BYTES = 2 << 30  # those written first go
MIN_SECONDS = 0.1  # what compiles faster is not kept


def enable(folder: str = FOLDER) -> None:
  """Lets JAX find what an earlier command, or another worker, compiled.

  JAX_COMPILATION_CACHE_DIR names another folder, and
  JAX_ENABLE_COMPILATION_CACHE=false turns it off. The folder is the user's own
  alone: what is read from it is run.
  """
  # JAX compiles anew what another worker is writing, or died writing.
  warnings.filterwarnings('ignore', 'Error reading persistent compilation')
  if jax.config.jax_compilation_cache_dir:  # pyrefly: ignore[missing-attribute]
    return
  try:
    path = pathlib.Path(paths.expand(folder))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
  except (OSError, ValueError) as e:
    log.warning(
      'programs are compiled anew by every command: %s '
      '(JAX_COMPILATION_CACHE_DIR=DIR keeps them)', e,
    )  # fmt: skip
    return
  if status.st_uid != os.getuid() or status.st_mode & 0o022:
    log.warning(
      '%s can be written by others, and what is in it would be run: compiling '
      'anew (to mend it: chmod go-w)', path,
    )  # fmt: skip
    return
  with contextlib.suppress(OSError):
    _prune(path)
  jax.config.update('jax_compilation_cache_dir', str(path))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', MIN_SECONDS)


def _prune(folder: pathlib.Path) -> None:
  """Removes the oldest files beyond MAX_BYTES.

  JAX's own limit needs a lock, and a file that a killed process left half
  written stops it from ever writing again.
  """
  files, total = [], 0
  for path in folder.iterdir():
    with contextlib.suppress(FileNotFoundError):  # another worker was faster
      status = path.stat()
      files.append((status.st_mtime, status.st_size, path))
  for _, size, path in sorted(files, reverse=True):
    total += size
    if total > MAX_BYTES:
      path.unlink(missing_ok=True)
