import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.model.linear import dense


def inputs(shape, D_out, dtype=jnp.float32):
  keys = jax.random.split(jax.random.key(0), 4)
  x = jax.random.normal(keys[0], shape, dtype)
  w = jax.random.normal(keys[1], (shape[-1], D_out), jnp.float32)
  b = jax.random.normal(keys[2], (D_out,), jnp.float32)
  g = jax.random.normal(keys[3], (*shape[:-1], D_out), dtype)
  return x, w, b, g


@pytest.mark.parametrize('shape', [(7, 4), (2, 5, 12), (12,), (2, 3, 2, 8)])
@pytest.mark.parametrize('D_out', [3, 8, 20])
def test_values_and_gradients_are_those_of_autodiff(shape, D_out):
  x, w, b, g = inputs(shape, D_out)

  @jax.jit
  def both(x, w, b, g):
    y, pull = jax.vjp(dense, x, w, b)
    plain, pull_plain = jax.vjp(lambda x, w, b: x @ w + b, x, w, b)
    return (y, *pull(g)), (plain, *pull_plain(g))

  for ours, plain in zip(*both(x, w, b, g), strict=True):
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)


def test_computes_in_the_dtype_of_x_and_keeps_that_of_the_weights():
  x, w, b, g = inputs((6, 64), 64, jnp.bfloat16)
  y, pull = jax.vjp(dense, x, w, b)
  assert y.dtype == jnp.bfloat16
  assert [c.dtype for c in pull(g)] == [jnp.bfloat16, jnp.float32, jnp.float32]


def test_without_a_bias():
  x, w, _, _ = inputs((6, 4), 3)
  np.testing.assert_allclose(dense(x, w), x @ w, rtol=1e-6)


def test_under_vmap_and_jit():
  x, w, b, _ = inputs((6, 5, 4), 3)
  y = jax.jit(jax.vmap(dense, (0, None, None)))(x, w, b)
  np.testing.assert_allclose(y, dense(x, w, b), rtol=1e-6)
