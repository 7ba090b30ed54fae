"""Attention on 8 devices equals that on one, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.attention import (
  attend,
  blockwise,
  reference,
  sequence,
  tiles,
)
from tests.attention.test_blockwise import inputs, with_gradients

NAMES, AUTO = ('data', 'fsdp', 'seq'), jax.sharding.AxisType.Auto
CASES = {
  'ring': dict(shape=(2, 1, 4)),
  'gather': dict(shape=(1, 1, 8), gather=True, window=20),
  'one shard and the next': dict(shape=(2, 1, 4), window=18),
  'batch': dict(shape=(4, 2, 1)),
  'window per head': dict(shape=(2, 2, 2), window=(40, 3, 9)),
  'a batch of one, tokens that do not divide': dict(shape=(4, 1, 2), B=1, T=61),
}
# (collective-permute, all-gather): a ring passes on and gathers nothing.
COLLECTIVES = {'ring': (True, False), 'gather': (False, True)}


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def mesh(shape, kind=AUTO):
  return jax.set_mesh(jax.make_mesh(shape, NAMES, (kind,) * 3))


@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_are_those_of_one_device(case, monkeypatch):
  compare(**CASES[case], monkeypatch=monkeypatch, used=COLLECTIVES.get(case))


def compare(
  shape, monkeypatch, B=8, T=64, window=None, gather=False, used=None
):
  monkeypatch.setattr(tiles, 'BLOCK', 8)  # several tiles per shard
  monkeypatch.setattr(sequence, 'UNIT', 4)
  H = 3
  arrays = [jnp.asarray(x) for x in inputs(0, B, T, H, 4, dtype=float)]
  windows = window if isinstance(window, tuple) else (window or T,) * H
  seen = jnp.arange(T) < jnp.asarray(windows)[:, None]

  def plain(q, k, v, bias):
    return reference.attend(q, k, v, jnp.where(seen, bias, -jnp.inf))[0]

  def ours(q, k, v, bias):
    return blockwise.attend(q, k, v, bias, windows, gather)

  want = jax.jit(lambda *a: with_gradients(plain, *a))(*arrays)
  with mesh(shape):
    f = jax.jit(lambda *a: with_gradients(ours, *a)).lower(*arrays).compile()
    got = f(*arrays)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
  if used:
    names = 'collective-permute', 'all-gather'
    assert tuple(name in f.as_text() for name in names) == used


@pytest.mark.parametrize(
  'shape',
  [(2, 1, 1), (1, 1, 2), pytest.param((2, 1, 2), marks=pytest.mark.slow)],
)
def test_outside_of_jit(shape):
  """Where axes of length 1 must be taken over as well."""
  arrays = [jnp.asarray(x) for x in inputs(0, 2, 10, 2, 4, dtype=float)[:4]]
  want = attend(*arrays, implementation='reference')
  with mesh(shape):
    got = attend(*arrays, implementation='blockwise')
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_explicit_axes_are_refused():
  arrays = [jnp.asarray(x) for x in inputs(0, 8, 130, 2, 4, dtype=float)[:4]]
  with (
    mesh((2, 1, 4), jax.sharding.AxisType.Explicit),
    pytest.raises(ValueError, match='are Explicit.*Auto'),
  ):
    attend(*arrays, implementation='blockwise')


@pytest.mark.slow
def test_a_shrunken_window_is_that_of_one_device():
  arrays = [jnp.asarray(x) for x in inputs(0, 2, 32, 2, 4, dtype=float)]

  def ours(*arrays, how='blockwise'):
    f = functools.partial(attend, window=9, shrink=True, implementation=how)
    return with_gradients(f, *arrays)

  want = jax.jit(functools.partial(ours, how='reference'))(*arrays)
  with mesh((2, 1, 2)):
    got = jax.jit(ours)(*arrays)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
