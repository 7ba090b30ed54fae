"""Schedules by hand, and what the optimiser leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from extrapolation import config
from extrapolation.training import optimizer
from tests.model import small


def rule(**changes) -> optax.GradientTransformation:
  """The optimiser at a constant rate, without decay unless it is given."""
  c = dict(schedule='constant', warmup=0, weight_decay=0.0) | changes
  return optimizer.make(10, config.Optim(**c))[0]


def test_schedules_at_points_computed_by_hand():
  for kind, late in (
    ('inverse_sqrt', 2.0 * (4 / 16) ** 0.5),
    ('constant', 2.0),
    ('cosine', 2.0 * 0.5 * (1 + np.cos(np.pi * 12 / 17))),
  ):
    rate = optimizer.learning_rate(
      20, config.Optim(lr=2.0, warmup=4, schedule=kind)
    )
    got = [float(rate(n)) for n in (0, 1, 3, 15)]
    np.testing.assert_allclose(got, [0.5, 1.0, 2.0, late], rtol=1e-6)


def test_cosine_ends_near_zero_but_not_before_the_last_step():
  rate = optimizer.learning_rate(
    100, config.Optim(lr=1.0, schedule='cosine', warmup=10)
  )
  assert 0 < float(rate(99)) < 1e-3


def test_only_matrices_decay():
  m = small.make('t5')
  params = jax.tree.map(lambda x: x + 1.0, m.init(jax.random.key(0)))
  tx = rule(warmup=1, weight_decay=0.5, lr=0.1)
  zero = jax.tree.map(jnp.zeros_like, params)
  updates, _ = jax.jit(tx.update)(zero, tx.init(params), params)
  for path, u in jax.tree_util.tree_flatten_with_path(updates)[0]:
    name = jax.tree_util.keystr(path)
    moved = bool(np.abs(u).max() > 0)
    assert moved == ('kernel' in name or 'embedding' in name), name


def test_clip_bounds_the_gradient_and_zero_turns_it_off():
  params = {'kernel': jnp.ones(4)}
  huge = {'kernel': jnp.full(4, 1e6)}
  for clip, factor in ((1.0, 0.5 / 1e6), (0.0, 1.0)):
    tx = rule(clip=clip, lr=1.0, eps=1e3)
    got, _ = tx.update(huge, tx.init(params), params)
    g = 1e6 * factor
    np.testing.assert_allclose(got['kernel'], -g / (g + 1e3), rtol=1e-4)


def test_without_decay_it_is_adam():
  params = {'kernel': jnp.asarray([1.0, -2.0, 3.0])}
  grads = {'kernel': jnp.asarray([0.1, 0.2, -0.3])}
  ours = rule(lr=0.1, clip=0.0, b1=0.9, b2=0.98)
  theirs = optax.adam(0.1, b1=0.9, b2=0.98, eps=1e-8)
  a, b = (tx.update(grads, tx.init(params), params)[0] for tx in (ours, theirs))
  np.testing.assert_allclose(a['kernel'], b['kernel'], rtol=1e-6)
