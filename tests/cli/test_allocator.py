"""Freed memory is kept: a repeated step touches no fresh page."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

CODE = """
import resource, sys
from extrapolation.cli import allocator
kept = sys.argv[1] == 'keep' and allocator.keep()
import jax, jax.numpy as jnp
a = jnp.ones((4096, 8))
f = jax.jit(lambda x: jnp.tanh(x * a @ a.T) @ a)  # 64 MB in between
def faults():
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  f(2.0).block_until_ready()
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(), faults()
# The least of many: a call may begin before the last one has freed its own.
print(kept, min(faults() for _ in range(12)))
"""


def faults(word):
  out = subprocess.run(
    [sys.executable, '-c', CODE, word],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  ).stdout.split()
  return out[0] == 'True', int(out[1])


def test_a_repeated_step_touches_no_fresh_page():
  kept, few = faults('keep')
  _, many = faults('default')
  if kept:  # 64 MB in pages of 4 KiB, unless the system gives larger ones
    assert few < max(100, many / 20)
  else:
    assert few > many / 2
