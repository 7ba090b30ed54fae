"""A bias at the distances of each head is its own row there."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import kernel

H = 3


@pytest.mark.parametrize('name', rpe.names())
def test_every_encoding_at_distances_per_head(name):
  encoding = rpe.get(name, H)
  params = encoding.init(jax.random.key(0))
  at_once = kernel.broadcasts(encoding.bias, params, H)
  rng = np.random.default_rng(0)
  distance = jnp.asarray(rng.exponential(30, (H, 2, 5)), jnp.float32)
  g = jnp.asarray(rng.normal(size=distance.shape), jnp.float32)

  def per_head(params, distance):
    rows = [encoding.bias(t.ravel(), params)[h] for h, t in enumerate(distance)]
    return jnp.stack(rows).reshape(distance.shape)

  value = functools.partial(kernel.at, encoding.bias, H=H, at_once=at_once)
  want, pull = jax.vjp(per_head, params, distance)
  got = value(params, distance)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
  assert np.isfinite(got).any(), 'nothing was compared'
  dparams, along = pull(g)
  mine = kernel.pull(encoding.bias, params, distance, g, at_once)
  for a, b in zip(*map(jax.tree.leaves, (mine, (along, dparams))), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_one_line_per_head_is_read_at_once():
  for name in ('alibi', 'linear', 'type1', 'kerple_log', 'bam'):
    encoding = rpe.get(name, H)
    params = encoding.init(jax.random.key(0))
    bias = inspect.unwrap(encoding.bias)  # past the shape checks of the run
    assert kernel.broadcasts(bias, params, H)


steps = jnp.arange(1.0, H + 1)
MIXED = {
  'a row of every head': lambda t, p: jnp.stack([h * t for h in (1, 2, 3)]),
  'heads the other way round': lambda t, p: -steps[::-1, None] * t[..., ::-1],
  'sums along the distances': lambda t, p: steps[:, None] * jnp.cumsum(t, -1),
  'a sum over heads': lambda t, p: steps[:, None] * t.sum(0),
  'another formula for two axes': lambda t, p: (
    steps[:, None] * (jnp.log1p(t) if t.ndim == 1 else jnp.sqrt(t))
  ),
  'distances of another head': lambda t, p: (
    steps[:, None] * (t if t.ndim == 1 else t[jnp.array([1, 2, 0])])
  ),
  'none at all': lambda t, p: jnp.zeros((H, t.shape[0])),
}


@pytest.mark.parametrize('case', MIXED)
def test_what_is_not_proved_is_not_read_at_once(case):
  assert not kernel.broadcasts(MIXED[case], {}, H)
