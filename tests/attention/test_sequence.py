"""Attention on 8 devices equals that on one.

Devices are counted once a process, hence a process of its own.
"""

import json
import os
import subprocess
import sys

import jax
import pytest

CASES = {
  'ring': dict(mesh=(2, 1, 4)),
  'gather': dict(mesh=(1, 1, 8), gather=True, window=20),
  'one shard and the next': dict(mesh=(2, 1, 4), window=18),
  'batch': dict(mesh=(4, 2, 1)),
  'window a head': dict(mesh=(2, 2, 2), window=(40, 3, 9)),
  'a batch of one, tokens that do not divide': dict(mesh=(4, 1, 2), B=1, T=61),
}


@pytest.fixture(scope='module')
def errors():
  env = os.environ | dict(JAX_NUM_CPU_DEVICES='8', JAX_ENABLE_X64='1')
  command = [sys.executable, '-m', 'tests.attention.test_sequence']
  run = subprocess.run(command, env=env, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr[-2000:]
  return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_are_those_of_one_device(errors, case):
  assert max(errors[case]) < 1e-12, errors[case]


def test_a_ring_passes_on_and_gathers_nothing(errors):
  ring, gather = errors['collectives']
  assert ring == [True, False]  # collective-permute, all-gather
  assert gather == [False, True]


def test_outside_of_jit_and_on_other_meshes(errors):
  assert errors['eager'] < 1e-12
  assert 'are Explicit' in errors['explicit'] and 'Auto' in errors['explicit']


def other_meshes():
  """(error without jit where axes have length 1, what Explicit axes say)."""
  import jax.numpy as jnp

  from extrapolation.attention import attend
  from tests.attention.test_blockwise import inputs

  q, k, v, bias, _ = (
    jnp.asarray(x) for x in inputs(0, 8, 130, 2, 4, dtype=float)
  )
  names, A = ('data', 'fsdp', 'seq'), jax.sharding.AxisType
  want, worst = attend(q, k, v, bias, implementation='reference'), 0.0
  for shape in ((8, 1, 1), (2, 1, 4), (1, 1, 8)):
    with jax.set_mesh(jax.make_mesh(shape, names, (A.Auto,) * 3)):
      got = attend(q, k, v, bias, implementation='blockwise')
    worst = max(worst, float(abs(got - want).max()))
  try:
    with jax.set_mesh(jax.make_mesh((2, 1, 4), names, (A.Explicit,) * 3)):
      attend(q, k, v, bias, implementation='blockwise')
    said = ''
  except ValueError as e:
    said = str(e)
  return worst, said


def error(mesh, B=8, T=64, window=None, gather=False):
  import jax.numpy as jnp

  from extrapolation.attention import blockwise, reference, sequence, tiles
  from tests.attention.test_blockwise import inputs, with_gradients

  tiles.BLOCK, sequence.UNIT = 8, 4  # several tiles a shard
  H = 3
  arrays = [jnp.asarray(x) for x in inputs(0, B, T, H, 4, dtype=float)]
  windows = window if isinstance(window, tuple) else (window or T,) * H
  seen = jnp.arange(T) < jnp.asarray(windows)[:, None]

  def plain(q, k, v, bias):
    return reference.attend(q, k, v, jnp.where(seen, bias, -jnp.inf))[0]

  def ours(q, k, v, bias):
    return blockwise.attend(q, k, v, bias, windows, gather)

  want = jax.jit(lambda *a: with_gradients(plain, *a))(*arrays)
  kinds = (jax.sharding.AxisType.Auto,) * 3
  with jax.set_mesh(jax.make_mesh(mesh, ('data', 'fsdp', 'seq'), kinds)):
    f = jax.jit(lambda *a: with_gradients(ours, *a))
    got = f(*arrays)
    text = f.lower(*arrays).compile().as_text()
  found = ['collective-permute' in text, 'all-gather' in text]
  return [
    float(abs(a - b).max()) for a, b in zip(got, want, strict=True)
  ], found


if __name__ == '__main__':
  found = {name: error(**case) for name, case in CASES.items()}
  result = {name: errors for name, (errors, _) in found.items()}
  result['collectives'] = [found['ring'][1], found['gather'][1]]
  result['eager'], result['explicit'] = other_meshes()
  print(json.dumps(result))
