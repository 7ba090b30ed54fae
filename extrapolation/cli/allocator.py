"""What the C library does with memory that a process gives back."""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys

# mallopt(3) of the GNU C library: parameter and value.
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = (-8, 1), (-4, 0), (-1, -1)


def keep() -> bool:
  """Lets this process keep the memory it frees, for the next step to write to.

  XLA on a CPU asks for the temporary memory of every call anew. The system
  hands out fresh pages, zeroed one by one, which is an eighth of a training
  step. Kept, they are there already; in return memory never shrinks. To be
  called before JAX starts its threads, that is before the first array; where
  another C library, or an accelerator, is at work it does nothing.

  Returns whether it did.
  """
  if sys.platform != 'linux' or has_accelerator():
    return False
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is None:
    return False
  # One arena: other threads' arenas would ask the system for large blocks.
  return all(mallopt(*s) for s in (_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD))


def has_accelerator() -> bool:
  """Whether JAX may find another backend than a CPU, without starting one."""
  if os.environ.get('JAX_PLATFORMS') == 'cpu':
    return False
  plugins = importlib.metadata.entry_points(group='jax_plugins')
  return bool(plugins) or importlib.util.find_spec('libtpu') is not None
