import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.model.cross_entropy import token_nll, total_nll

SHAPES = [(2, 6, 4, 11), (1, 13, 8, 257), (3, 5, 4, 7)]


def plain(x, E, targets):
  log_p = jax.nn.log_softmax(x @ E.T, axis=-1)
  return -jnp.take_along_axis(log_p, targets[..., None], -1)[..., 0]


def inputs(B, T, D, V, dtype=jnp.float32):
  keys = jax.random.split(jax.random.key(B * T + V), 4)
  x = jax.random.normal(keys[0], (B, T, D), dtype)
  E = jax.random.normal(keys[1], (V, D), jnp.float32)
  targets = jax.random.randint(keys[2], (B, T), 0, V)
  return x, E, targets, jax.random.normal(keys[3], (B, T))


@functools.cache
def vjp(f):

  def run(x, E, targets, g):
    y, pull = jax.vjp(lambda x, E: f(x, E, targets), x, E)
    return y, *pull(g)

  return jax.jit(run)


@pytest.mark.parametrize('chunk', [None, 4, 7])
@pytest.mark.parametrize('shape', SHAPES)
def test_values_and_gradients_for_any_cotangent(shape, chunk):
  args = inputs(*shape)
  ours = vjp(lambda *a: token_nll(*a, chunk))(*args)
  for a, b in zip(ours, vjp(plain)(*args), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('chunk', [None, 4, 7])
@pytest.mark.parametrize('shape', SHAPES)
def test_the_total_and_its_gradients(shape, chunk):
  x, E, targets, w = inputs(*shape)

  def grads(f):  # the factor 3: the cotangent of the total is not always 1
    return jax.jit(
      jax.value_and_grad(lambda x, E, w: 3 * f(x, E, targets, w), (0, 1, 2))
    )(x, E, w)

  ours = grads(lambda *a: total_nll(*a, chunk))
  theirs = grads(lambda x, E, t, w: jnp.sum(w * plain(x, E, t)))
  for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_one_token_and_half_precision():
  x, E, targets, w = inputs(1, 1, 8, 257)
  half = x.astype(jnp.bfloat16)
  nll = token_nll(half, E, targets)
  assert nll.dtype == jnp.float32
  np.testing.assert_allclose(nll, plain(x, E, targets), rtol=2e-2)
  dx, dE = jax.grad(total_nll, (0, 1))(half, E, targets, w)
  assert (dx.dtype, dE.dtype) == (jnp.bfloat16, jnp.float32)


@pytest.mark.parametrize('chunk', [None, 4])
@pytest.mark.parametrize('shape', [*SHAPES, (2, 64, 64, 64)])
def test_half_precision_compiles_at_every_shape(shape, chunk):
  x, E, targets, w = inputs(*shape)
  f = jax.jit(jax.grad(lambda x, E: total_nll(x, E, targets, w, chunk), (0, 1)))
  for a, b in zip(f(x.astype(jnp.bfloat16), E), f(x, E), strict=True):
    error = np.abs(np.asarray(a, np.float32) - b).max()
    assert error < 0.1 * np.abs(b).max()


def test_memory_does_not_grow_with_the_logits():
  """131,072 tokens over 8,192 words: 4.3 GB of logits, of which 17 MB exist."""
  x = jax.ShapeDtypeStruct((1, 131_072, 256), jnp.float32)
  E = jax.ShapeDtypeStruct((8192, 256), jnp.float32)
  targets = jax.ShapeDtypeStruct((1, 131_072), jnp.int32)
  step = jax.jit(token_nll).lower(x, E, targets).compile()
  assert step.memory_analysis().temp_size_in_bytes < 0.3e9
