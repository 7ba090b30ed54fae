"""Shrunken truncation: half of the worst error, in every implementation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import attend, decode, truncation
from tests.attention.test_blockwise import inputs as numpy_inputs

WINDOWS = (1, 7, 16, 40)
HOW = ('reference', 'blockwise', 'gather')


def inputs(*sizes, **kw):
  return tuple(map(jnp.asarray, numpy_inputs(*sizes, **kw)))


def by_hand(q, k, v, bias, windows):
  """(1 - p) o_w of every query, one by one, in float64."""
  q, k, v, bias = (np.asarray(x, np.float64) for x in (q, k, v, bias))
  B, T, H, K = q.shape
  out = np.zeros(q.shape)
  for b, i, h in np.ndindex(B, T, H):
    w, t = windows[h], np.arange(i + 1)
    a = np.exp(k[b, i - t, h] @ q[b, i, h] / K**0.5 + bias[h, t])
    near = a[:w].sum()
    far = np.exp(bias[h, w : i + 1]).sum()
    p = 0.0
    if i >= w:
      most = np.linalg.norm(k[b, : i - w + 1, h], axis=-1).max()
      x = np.exp(np.linalg.norm(q[b, i, h]) * most / K**0.5) * far / near
      p = x / (1 + x)
    out[b, i, h] = (1 - p) * (a[:w] @ v[b, i - t[:w], h]) / near
  return out


@pytest.mark.parametrize('how', HOW)
def test_the_definition_by_hand(how):
  q, k, v, bias, _ = inputs(3, 2, 33, 4, 5)
  got = attend(q, k, v, bias, window=WINDOWS, shrink=True, implementation=how)
  want = by_hand(q, k, v, bias, WINDOWS)
  np.testing.assert_allclose(got, want, atol=2e-6)
  # the last head keeps every key: nothing to shrink for
  plain = attend(q, k, v, bias, window=WINDOWS, implementation=how)
  np.testing.assert_allclose(got[:, :, 3], plain[:, :, 3], atol=1e-6)
  assert np.abs(got - plain).max() > 0.1


@pytest.mark.parametrize(
  'name, how',
  [
    *(('alibi', how) for how in HOW),
    *(
      (name, 'reference') for name in ('type1', 'harmonic', 'none', 'sandwich')
    ),
  ],
)
def test_half_of_the_worst_error(name, how):
  """Both adversaries of the lower bound: far keys at M, near ones at -M.

  o - o_w is 2 p* long, (1 - p*) o_w is p* away from o for values -u and for
  +u beyond the window: no function of the window can tell the two apart.
  """
  n, w, M, H = 200, 13, 1.5, 2
  encoding = rpe.get(name, H)
  bias = encoding.bias(jnp.arange(n), encoding.init(jax.random.key(0)))
  far = (jnp.arange(n) < n - w)[None, :, None, None]
  shape = (1, n, H, 1)
  q, k = jnp.ones(shape), jnp.broadcast_to(jnp.where(far, M, -M), shape)
  weight = np.exp(np.asarray(bias, np.float64))
  tail, head = weight[:, w:].sum(1), weight[:, :w].sum(1)
  worst = 1 / (1 + np.exp(-2 * M) * head / tail)
  own = functools.partial(attend, q, k, bias=bias, implementation=how)
  for sign in (-1.0, 1.0):
    v = jnp.broadcast_to(jnp.where(far, sign, 1.0), shape)
    o = own(v=v)[0, -1, :, 0]
    cut = own(v=v, window=w)[0, -1, :, 0]
    small = own(v=v, window=w, shrink=True)[0, -1, :, 0]
    np.testing.assert_allclose(np.abs(o - small), worst, rtol=2e-5)
    np.testing.assert_allclose(np.abs(o - cut), (1 - sign) * worst, atol=5e-6)


def test_gradients_are_those_of_the_definition_and_finite():
  q, k, v, bias, g = inputs(5, 1, 33, 4, 5)
  q, k = q.at[:, 4].set(0), k.at[:, 5].set(0)  # a norm has no gradient there

  def pulled(how):
    f = functools.partial(
      attend, window=WINDOWS, shrink=True, implementation=how
    )
    return jax.jit(lambda *x: jax.vjp(f, *x)[1](g))(q, k, v, bias)

  for a, b in zip(pulled('reference'), pulled('blockwise'), strict=True):
    assert np.isfinite(a).all()
    np.testing.assert_allclose(b, a, atol=2e-5)
  cut = bias.at[:, 10:].set(-np.inf)
  f = lambda b: attend(q, k, v, b, window=5, shrink=True).sum()  # noqa: E731
  finite = np.asarray(jax.jit(jax.grad(f))(cut))
  assert np.isfinite(finite).all() and np.abs(finite[:, 5:10]).max() > 0


def test_later_tokens_change_nothing():
  q, k, v, bias, _ = inputs(7, 1, 40, 4, 5)
  f = functools.partial(attend, window=4, shrink=True)
  part = f(q[:, :23], k[:, :23], v[:, :23], bias)
  np.testing.assert_allclose(f(q, k, v, bias)[:, :23], part, atol=1e-6)


@pytest.fixture(scope='module')
def step():
  return jax.jit(functools.partial(decode.step, shrink=True))


@pytest.mark.parametrize('first', [0, 11])
def test_a_ring_shrinks_as_the_window_does(step, first):
  q, k, v, bias, _ = inputs(9, 2, 33, 4, 5, n=40)
  want = attend(q, k, v, bias, window=WINDOWS, shrink=True)
  tails = np.asarray(truncation.log_tails(bias, WINDOWS))
  cache, rows = decode.init_cache(2, 4, 5, WINDOWS), []
  if first:
    cache = decode.prefill(k[:, :first], v[:, :first], cache)
  for i in range(first, 33):
    one = (np.asarray(x)[:, i : i + 1] for x in (q, k, v))
    o, cache = step(*one, bias, cache, i, tails[:, i])
    rows.append(np.asarray(o[:, 0]))
  np.testing.assert_allclose(np.stack(rows, 1), want[:, first:], atol=2e-6)


def test_memory_is_that_of_the_operands():
  x = jax.ShapeDtypeStruct((1, 8192, 2, 4), jnp.float32)
  bias = jax.ShapeDtypeStruct((2, 8192), jnp.float32)
  f = jax.jit(functools.partial(attend, window=64, shrink=True))
  used = f.lower(x, x, x, bias).compile().memory_analysis()
  assert used.temp_size_in_bytes < 8192 * 8192


def test_what_cannot_shrink_is_named():
  q, k, v, bias, _ = inputs(0, 1, 8, 2, 4)
  for how in ('pallas', 'cudnn'):
    with pytest.raises(ValueError, match=f'{how} cannot shrink.*blockwise'):
      attend(q, k, v, bias, window=4, shrink=True, implementation=how)
  with pytest.raises(ValueError, match='without a window'):
    attend(q, k, v, bias, shrink=True)
  one = (x[:, :1] for x in (q, k, v))
  with pytest.raises(ValueError, match='log_tail'):
    decode.step(*one, bias, decode.init_cache(1, 2, 4, 8), 0, shrink=True)
