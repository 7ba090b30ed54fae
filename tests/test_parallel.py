"""Every layout of a run is the same run: 8 devices against one.

Devices are counted once a process, hence a process of its own.
"""

import json
import os
import subprocess
import sys

import pytest

from extrapolation import config, parallel, program

# Float64 and SGD: Adam divides by gradients near zero, and tells nothing.
LAYOUTS = {
  'data': dict(),
  'fsdp': dict(data=1, fsdp=8),
  'seq': dict(data=1, seq=8),
  'data, fsdp and seq': dict(data=2, fsdp=2, seq=2),
  'pmap': dict(mode='pmap'),
  'in parts, some of the devices': dict(fsdp=2, data=2, accumulate=2),
}
VALID = ('data, fsdp and seq', 'pmap')


@pytest.fixture(scope='module')
def found():
  env = os.environ | dict(JAX_NUM_CPU_DEVICES='8', JAX_ENABLE_X64='1')
  command = [sys.executable, '-m', 'tests.test_parallel']
  run = subprocess.run(command, env=env, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr[-2000:]
  return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize('name', LAYOUTS)
def test_parameters_losses_and_norms_are_those_of_one_device(found, name):
  assert found[name]['error'] < 1e-12


@pytest.mark.parametrize('name', VALID)
def test_the_weighted_sum_of_a_validation_is_that_of_one_device(found, name):
  assert found[name]['valid'] < 1e-12


def test_weights_count_and_not_shards(found):
  """The mean of the means of the rows is another number."""
  assert found['mean of means'] > 1e-3


def test_fsdp_holds_a_sixth_of_the_state_at_most(found):
  assert found['fsdp']['bytes'] <= found['data']['bytes'] / 6
  assert found['fsdp, base model with AdamW'] <= 1 / 6


def test_sequences_and_not_features_are_spread(found):
  """No device ever holds more than its rows of the hidden states."""
  assert found['largest hidden'] == [True, False]


def test_dropout_is_another_for_every_row_in_pmap(found):
  assert found['dropout rows'] == 8


def test_a_checkpoint_is_read_on_any_other_layout(found):
  assert found['restored'] == [True, True, True]


def sizes(devices, processes=1, **kw):
  return parallel.Settings(**kw).sizes(devices, processes)


def test_minus_one_is_what_is_left():
  assert sizes(8) == (8, 1, 1)
  assert sizes(8, data=1, fsdp=-1) == (1, 8, 1)
  assert sizes(8, fsdp=2, seq=2) == (2, 2, 2)
  assert sizes(1) == (1, 1, 1)
  assert sizes(8, data=4) == (4, 1, 1)


@pytest.mark.parametrize(
  'devices, kw, message',
  [
    (8, dict(data=3), 'a mesh of 3 does not divide the 8 devices'),
    (8, dict(fsdp=3), 'a mesh of 3 does not divide the 8 devices'),
    (1, dict(data=2), 'a mesh of 2 does not divide the 1 device there'),
    (8, dict(processes=2, data=4), 'a mesh of 4 does not take the 8 .* in 2 p'),
    (8, dict(data=0), 'parallel.data = 0: needs >= 1, or -1'),
    (8, dict(seq=-1), 'only one of data, fsdp, seq can be -1'),
    (8, dict(mode='pmap', fsdp=2), 'set parallel.fsdp=1 and parallel.seq=1'),
    (8, dict(mode='xmap'), "parallel.mode = 'xmap'; there are: jit, pmap"),
  ],
)
def test_meshes_that_do_not_fit_are_named(devices, kw, message):
  with pytest.raises(ValueError, match=message):
    sizes(devices, **kw)


@pytest.mark.parametrize(
  'name, message',
  [
    ('B', r'train.B = 6 does not divide over the 4 .* or .* so that .* are 3'),
    ('parts', 'train.B = 8 in 4 parts does not divide over the 4 devices'),
    ('T', 'train.T = 9 does not divide over parallel.seq = 2'),
    ('mesh', 'a mesh of 3 does not divide the 8 devices there are'),
  ],
)
def test_batches_that_do_not_fit_are_named(found, name, message):
  import re

  assert re.search(message, found['refused'][name]), found['refused'][name]


def make(layout, **changes):
  c = config.base()
  c.model.update(rpe='kerple_log', N=2, D=32, H=2, F=64, dropout=0.0)
  c.model.update(dtype='float64', scan=True)
  c.optim.update(rule='sgd', lr=0.1, warmup=2, weight_decay=0.1)
  c.train.update(T=104, B=8, steps=3)
  layout = dict(layout)
  changes |= {'train.accumulate': layout.pop('accumulate', 1)} | changes
  changes |= {f'parallel.{k}': v for k, v in layout.items()}
  return config.override(c, {k: str(v) for k, v in changes.items()})


def main():
  import jax
  import numpy as np

  rng = np.random.default_rng(0)
  tokens = rng.integers(0, 50, (2, 8, 105), dtype=np.int32)
  # Rows of very different weight; some devices have nothing at all.
  weights = rng.uniform(size=(2, 8, 104)) * (rng.uniform(size=(2, 8, 1)) < 0.6)

  def train(layout, validate=True):
    p = program.program(make(layout), 50)
    state, key, seen = p.init(jax.random.key(0)), jax.random.key(1), []
    size = sum(
      x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state)
    )
    for batch in zip(tokens, weights, strict=True):
      state, metrics = p.step(state, p.layout.put(batch, 8), key)
      seen += [float(metrics[k]) for k in ('loss', 'grad_norm', 'param_norm')]
    leaves = [np.asarray(x) for x in jax.tree.leaves(state)]
    valid = [np.nan]
    if validate:
      batch = p.layout.put((tokens[0], weights[0]), 8)
      valid = [float(x) for x in p.valid(state.params, batch)]
    return [*leaves, np.asarray(seen)], np.asarray(valid), size, p

  result = {}
  want, valid, _, p = train(dict(data=1))
  for name, layout in LAYOUTS.items():
    got, v, size, _ = train(layout, name in VALID)
    error = max(np.abs(a - b).max() for a, b in zip(got, want, strict=True))
    off = np.abs(v / valid - 1).max()
    result[name] = dict(error=error, valid=off, bytes=size)

  params = p.init(jax.random.key(0)).params
  nats = np.asarray(p.model.nll(params, tokens[0][:, :-1], tokens[0][:, 1:]))
  w = weights[0]
  rows = (nats * w).sum(-1)[w.sum(-1) > 0] / w.sum(-1)[w.sum(-1) > 0]
  result['mean of means'] = abs(rows.mean() - (nats * w).sum() / w.sum())

  base = config.override(config.base(), {'parallel.fsdp': '8'})
  like = jax.tree.leaves(program.program(base, 8192).like)
  part = sum(
    np.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in like
  )
  whole = sum(x.size * x.dtype.itemsize for x in like)
  result['fsdp, base model with AdamW'] = part / whole

  text = compiled(dict(data=1, fsdp=8), tokens[0])
  result['largest hidden'] = [f'f64[{b},104,32]' in text for b in (1, 8)]
  result['restored'] = restored()
  result['dropout rows'] = different_rows()
  result['refused'] = dict(
    B=refused(dict(data=4), **{'train.B': 6}),
    parts=refused(dict(data=4), **{'train.accumulate': 4}),
    T=refused(dict(data=1, seq=2), **{'train.T': 9}),
    mesh=refused(dict(data=3)),
  )
  print(json.dumps(result))


def compiled(layout, batch):
  """The program of one validation after partitioning."""
  import jax

  p = program.program(make(layout), 50)
  with jax.set_mesh(p.layout.mesh):
    f = jax.jit(lambda params, b: p.model.nll(params, b[:, :-1], b[:, 1:]))
    batch = p.layout.put(batch, 8)
    return f.lower(p.init(jax.random.key(0)).params, batch).compile().as_text()


def restored():
  """Whether a state spread by 'fsdp' comes back the same on other layouts."""
  import tempfile

  import jax
  import numpy as np

  from extrapolation.checkpoint import Checkpoints

  layouts = dict(fsdp=8, data=1), dict(data=2, fsdp=2, seq=2), dict(data=1)
  programs = [program.program(make(layout), 50) for layout in layouts]
  state = programs[0].init(jax.random.key(3))
  same = []
  with tempfile.TemporaryDirectory() as folder:
    with Checkpoints(folder) as checkpoints:
      checkpoints.save(1, {'params': state.params, 'opt': state.opt}, {})
    for p in programs:
      like = {'params': p.like.params, 'opt': p.like.opt}
      _, items, _ = Checkpoints(folder, read_only=True).restore(like)
      got = jax.tree.leaves((items['params'], items['opt']))
      want = jax.tree.leaves((state.params, state.opt))
      as_meant = jax.tree.leaves((p.like.params, p.like.opt))
      same.append(
        all(
          np.array_equal(a, b) and a.sharding == c.sharding
          for a, b, c in zip(got, want, as_meant, strict=True)
        )
      )
  return same


def different_rows():
  """How many of 8 equal rows, one a device, lose other values to dropout."""
  import jax
  import jax.numpy as jnp

  layout = parallel.layout(parallel.Settings(mode='pmap'))

  def f(_, batch, key, *, axis):
    own = jax.random.uniform(parallel.key(key, axis), (1,))
    one = jnp.zeros(8).at[jax.lax.axis_index(axis)].set(own[0])
    return parallel.total(one, axis)

  ones = layout.put(jnp.ones((8, 1)), 8)
  values = layout.compile(f)(jnp.zeros(()), ones, jax.random.key(0))
  return len({float(x) for x in values})


def refused(layout, **changes):
  try:
    program.program(make(layout, **changes), 50)
  except ValueError as e:
    return str(e)
  return 'accepted'


if __name__ == '__main__':
  main()
