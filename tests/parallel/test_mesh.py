"""Every layout of a run is the same run: 8 devices against one.

In float64 and by SGD: Adam divides by gradients near zero, and tells nothing.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, training
from extrapolation.parallel import mesh
from extrapolation.runs.checkpoint import Checkpoints
from extrapolation.runs.checkpoint_reader import CheckpointReader

V, B, T = 50, 8, 104
LAYOUTS = {
  'data': dict(data=8),
  'fsdp': dict(data=1, fsdp=8),
  'seq': dict(data=1, seq=8),
  'data, fsdp and seq': dict(data=2, fsdp=2, seq=2),
  'pmap': dict(mode='pmap'),
  'in parts, some of the devices': dict(fsdp=2, data=2, accumulate=2),
}
# kerple_log learns its bias, within the step; type2 hands in a table.
CASES = [
  ('kerple_log', name) for name in ('fsdp', 'data, fsdp and seq', 'pmap')
]
CASES += [  # tables, one axis alone, and steps in parts
  pytest.param(*case, marks=pytest.mark.slow)
  for case in (
    ('type2', 'seq'),
    ('type2', 'pmap'),
    ('kerple_log', 'data'),
    ('kerple_log', 'in parts, some of the devices'),
  )
]
VALIDATED = (
  'data, fsdp and seq',
  pytest.param('pmap', marks=pytest.mark.slow),
)

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, V, (2, B, T + 1), dtype=np.int32)
# Rows of very different weight; some devices have nothing at all.
WEIGHTS = RNG.uniform(size=(2, B, T)) * (RNG.uniform(size=(2, B, 1)) < 0.6)
DOCUMENTS = np.sort(RNG.integers(0, 5, (2, B, T), dtype=np.int32), axis=-1)


@pytest.fixture(scope='module', autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def experiment(rpe='kerple_log', accumulate=1, T=T, B=B, **layout):
  return config.Experiment(
    model=config.Model(
      rpe=rpe, N=2, D=32, H=2, F=64, dropout=0.0, dtype='float64', scan=True
    ),
    optim=config.Optim(rule='sgd', lr=0.1, warmup=2, weight_decay=0.1),
    train=config.Train(T=T, B=B, steps=3, accumulate=accumulate),
    parallel=config.Parallel(**layout),
  )


@functools.cache
def trained(rpe: str, packed: bool = False, **layout):
  """(state and metrics of two steps, bytes on one device)."""
  p = training.make(experiment(rpe, **layout), V)
  state, key, metrics = p.init(jax.random.key(0)), jax.random.key(1), []
  bias = p.bias_table(state.params)
  size = sum(
    x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state)
  )
  arrays = (TOKENS, WEIGHTS, DOCUMENTS) if packed else (TOKENS, WEIGHTS)
  for batch in zip(*arrays, strict=True):
    batch = p.layout.global_from_local(batch, B)
    state, row = p.step(state, batch, key, bias)
    metrics += [float(row[k]) for k in ('loss', 'grad_norm', 'param_norm')]
  leaves = [np.asarray(x) for x in jax.tree.leaves(state)]
  return [*leaves, np.asarray(metrics)], size


@functools.cache
def validated(rpe: str, **layout):
  """(weighted sum of nats, sum of weights) of a validation."""
  p = training.make(experiment(rpe, **layout), V)
  params = p.init(jax.random.key(0)).params
  batch = p.layout.global_from_local((TOKENS[0], WEIGHTS[0]), B)
  return [float(x) for x in p.eval_step(params, batch, p.bias_table(params))]


@pytest.mark.parametrize('rpe, name', CASES)
def test_parameters_losses_and_norms_are_those_of_one_device(rpe, name):
  got, _ = trained(rpe, **LAYOUTS[name])
  want, _ = trained(rpe, data=1)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_clock_is_that_of_one_device():
  """Its gates are float32 by contract, so sums differ by their rounding."""
  spec = 'type1@forget*log_n:whole=true'
  got, _ = trained(spec, **LAYOUTS['seq'])
  want, _ = trained(spec, data=1)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('name', VALIDATED)
def test_documents_are_apart_in_every_layout(name):
  got, _ = trained('type2', packed=True, **LAYOUTS[name])
  want, _ = trained('type2', packed=True, data=1)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', VALIDATED)
def test_the_weighted_sum_of_a_validation_is_that_of_one_device(name):
  got, want = (
    validated('kerple_log', **x) for x in (LAYOUTS[name], dict(data=1))
  )
  np.testing.assert_allclose(got, want, rtol=1e-12)


def test_weights_count_and_not_shards():
  """The mean of the means of the rows is another number."""
  p = training.make(experiment(data=1), V)
  params = p.init(jax.random.key(0)).params
  nll = np.asarray(p.model.nll(params, TOKENS[0, :, :-1], TOKENS[0, :, 1:]))
  w = WEIGHTS[0]
  seen = w.sum(-1) > 0
  rows = (nll * w).sum(-1)[seen] / w.sum(-1)[seen]
  assert abs(rows.mean() - (nll * w).sum() / w.sum()) > 1e-3


def test_fsdp_holds_a_sixth_of_the_state_at_most():
  _, part = trained('kerple_log', **LAYOUTS['fsdp'])
  _, whole = trained('kerple_log', data=1)
  assert part <= whole / 6

  base = config.Experiment(parallel=config.Parallel(data=1, fsdp=8))
  shapes = jax.tree.leaves(training.make(base, 8192).abstract_state)
  part = sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x in shapes
  )
  assert part <= sum(x.size * x.dtype.itemsize for x in shapes) / 6


@pytest.mark.slow
def test_sequences_and_not_features_are_spread():
  """No device ever holds more than its rows of the hidden states."""
  p = training.make(experiment(data=1, fsdp=8), V)
  with jax.set_mesh(p.layout.mesh):
    nll = jax.jit(lambda params, b: p.model.nll(params, *mesh.shifted(b)))
    batch = p.layout.global_from_local(TOKENS[0], B)
    lowered = nll.lower(p.init(jax.random.key(0)).params, batch)
    text = lowered.compile().as_text()  # after partitioning
  assert f'f64[1,{T},32]' in text and f'f64[{B},{T},32]' not in text


def test_dropout_is_another_for_every_row_in_pmap():
  layout = mesh.layout(config.Parallel(mode='pmap'))

  def f(_, batch, key, *, axis):
    own = jax.random.uniform(mesh.fold_in_axis(key, axis), (1,))
    one = jnp.zeros(8).at[jax.lax.axis_index(axis)].set(own[0])
    return mesh.psum(one, axis)

  ones = layout.global_from_local(jnp.ones((8, 1)), 8)
  values = layout.compile(f)(jnp.zeros(()), ones, jax.random.key(0))
  assert len({float(x) for x in values}) == 8


def test_a_checkpoint_is_read_on_any_other_layout(tmp_path):
  layouts = dict(fsdp=8, data=1), dict(data=2, fsdp=2, seq=2), dict(data=1)
  steps = [training.make(experiment(**layout), V) for layout in layouts]
  _, *state = steps[0].init(jax.random.key(3))
  with Checkpoints(str(tmp_path)) as checkpoints:
    checkpoints.save(1, dict(zip(('params', 'opt'), state, strict=True)), {})
  for p in steps:
    _, *shapes = p.abstract_state
    wanted = dict(zip(('params', 'opt'), shapes, strict=True))
    checkpoints = CheckpointReader(str(tmp_path))
    _, items, _ = checkpoints.restore(wanted)
    for a, b, shape in zip(
      *map(jax.tree.leaves, (items, dict(zip(wanted, state, strict=True)))),
      jax.tree.leaves(wanted),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)
      assert a.sharding == shape.sharding


@pytest.mark.parametrize(
  'changes, message',
  [
    (
      dict(data=4, B=6),
      r'train.B = 6 does not divide over the 4 .* or .* so that .* are 3',
    ),
    (
      dict(data=4, accumulate=4),
      'train.B = 8 in 4 parts does not divide over the 4 devices',
    ),
    (dict(data=1, seq=2, T=9), 'train.T = 9 does not divide over parallel.seq'),
    (dict(data=3), 'a mesh of 3 does not divide the 8 devices there are'),
  ],
)
def test_batches_that_do_not_fit_are_named(changes, message):
  with pytest.raises(ValueError, match=message):
    training.make(experiment(**changes), V)
