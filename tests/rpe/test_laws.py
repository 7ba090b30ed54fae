"""Laws that every encoding keeps; a new file is under all of them."""

import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention, rpe

KEY = jax.random.key(0)
T = 24


def test_bias_is_float32_and_one_row_a_head(encoding):
  for distance in (jnp.arange(T), jnp.arange(T, dtype=jnp.float32)):
    bias = encoding.bias(distance, encoding.init(KEY))
    assert bias.dtype == jnp.float32
    assert bias.shape == (4, T)


@pytest.mark.parametrize('H', [1, 2, 3, 8, 12])
@pytest.mark.parametrize('name', rpe.names())
def test_any_number_of_heads(name, H):
  encoding = rpe.get(name, H)
  assert encoding.bias(jnp.arange(T), encoding.init(KEY)).shape == (H, T)


def test_bias_is_a_log_weight(encoding):
  """No NaN and no +inf, far out too; -inf is a weight of zero, never at 0."""
  far = jnp.asarray([0, 1, 2, 511, 512, 9215, 131_071, 2**24])
  bias = np.asarray(encoding.bias(far, encoding.init(KEY)))
  assert not np.isnan(bias).any()
  assert not np.isposinf(bias).any()
  assert np.isfinite(bias[:, 0]).all()  # beyond, a hard zero is -inf


def test_longer_context_leaves_near_distances_alone(encoding):
  p = encoding.init(KEY)
  long, short = (encoding.bias(jnp.arange(n), p) for n in (8 * T, T))
  # Sandwich sums 64 cosines, in an order that depends on the shape.
  np.testing.assert_allclose(long[:, :T], short, rtol=2e-6, atol=1e-6)


def test_bias_is_elementwise_in_distance(encoding):
  p = encoding.init(KEY)
  order = np.random.default_rng(0).permutation(T)
  whole = encoding.bias(jnp.arange(T), p)
  mixed = encoding.bias(jnp.asarray(order), p)
  np.testing.assert_allclose(mixed, whole[:, order], rtol=2e-6, atol=1e-6)
  one = jnp.concatenate(
    [encoding.bias(jnp.asarray([t]), p) for t in range(T)], 1
  )
  np.testing.assert_allclose(one, whole, rtol=2e-6, atol=1e-6)


def test_attention_is_causal_by_gradient(encoding):
  """Output i has no derivative with respect to anything after i."""
  q, k, v = jax.random.normal(KEY, (3, 1, T, 4, 8))
  table = encoding.bias(jnp.arange(T), encoding.init(KEY))

  def out(q, k, v, i):
    q, k = encoding.rotate(q, k, jnp.arange(T))
    return attention.attend(q, k, v, table)[0, i].sum()

  for i in (0, 5, T - 1):
    for g in jax.grad(out, argnums=(0, 1, 2))(q, k, v, i):
      assert np.isfinite(g).all()
      assert (np.asarray(g[0, i + 1 :]) == 0).all()
    assert np.abs(jax.grad(out, argnums=2)(q, k, v, i)[0, : i + 1]).max() > 0


def test_rotate_knows_differences_only(encoding):
  """q_i . k_j does not change when all positions move, nor with the length."""
  q, k = jax.random.normal(KEY, (2, 1, T, 4, 8))

  def products(first, n):
    a, b = encoding.rotate(q[:, :n], k[:, :n], first + jnp.arange(n))
    return jnp.einsum('bthk,bshk->hts', a, b)

  here = products(0, T)
  np.testing.assert_allclose(products(700, T), here, rtol=2e-3, atol=2e-3)
  np.testing.assert_allclose(
    products(0, 9), here[:, :9, :9], rtol=1e-5, atol=1e-5
  )


def test_embed_does_not_depend_on_length(encoding):
  x = jax.random.normal(KEY, (1, T, 16))
  whole = encoding.embed(x, jnp.arange(T))
  part = encoding.embed(x[:, :9], jnp.arange(9))
  np.testing.assert_array_equal(whole[:, :9], part)
  assert whole.shape == x.shape and whole.dtype == x.dtype


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_rotate_and_embed_keep_dtype(encoding, dtype):
  q = jnp.ones((1, T, 4, 8), dtype)
  assert [x.dtype for x in encoding.rotate(q, q, jnp.arange(T))] == [dtype] * 2
  assert encoding.embed(q.reshape(1, T, 32), jnp.arange(T)).dtype == dtype


def test_constrain_is_the_inverse_of_unconstrain(encoding):
  p = encoding.init(KEY)
  again = encoding.constrain(encoding.unconstrain(p))
  for name in p:
    np.testing.assert_allclose(again[name], p[name], rtol=1e-5, atol=1e-6)


def test_learned_parameters_have_finite_gradients(encoding):
  """At distance 0 too, where t^r has an infinite slope in its logarithm."""
  raw = encoding.unconstrain(encoding.init(KEY))

  def total(raw):
    bias = encoding.bias(jnp.arange(T), encoding.constrain(raw))
    return jnp.where(jnp.isfinite(bias), bias, 0).sum()

  for name, g in jax.grad(total)(raw).items():
    assert np.isfinite(g).all(), name
    assert np.abs(g).max() > 0, name


def test_parameters_stay_in_their_domain(encoding):
  """However far the optimiser pushes, the bias stays a log weight."""
  raw = encoding.unconstrain(encoding.init(KEY))
  for push in (-30.0, 30.0):
    p = encoding.constrain(jax.tree.map(lambda x, push=push: x + push, raw))
    bias = np.asarray(encoding.bias(jnp.arange(T), p))
    assert not np.isnan(bias).any() and not np.isposinf(bias).any()


def test_source_and_formula_are_given(encoding):
  module = importlib.import_module(f'extrapolation.rpe.{encoding.name}')
  assert encoding.source
  assert '=' in module.make.__doc__
  assert len(inspect.getsource(module).splitlines()) <= 45
