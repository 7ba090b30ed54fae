import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import (
  Kernel,
  Positions,
  Scored,
  accumulate,
  attend,
  decode,
)
from tests.model import small

B, H, K, T = 2, 3, 4, 29


def operands(seed=0):
  keys = jax.random.split(jax.random.key(seed), 3)
  return tuple(jax.random.normal(key, (B, T, H, K)) for key in keys)


def unturned(q, k, positions):
  del positions
  return q, k


@functools.cache  # one for all encodings that turn nothing
def steps(turn):
  """(cache, bias, (q, k, v, positions)) -> outputs of one token at a time."""

  def one(bias, cache, x):
    q, k, v, position = x
    q, k = turn(q[:, None], k[:, None], position[None])
    o, cache = decode.step(q, k, v[:, None], bias, cache, position)
    return cache, o[:, 0]

  def scan(cache, bias, xs):
    return jax.lax.scan(functools.partial(one, bias), cache, xs)[1]

  return jax.jit(scan)


def decoded(q, k, v, bias, window, first=0, turn=unturned):
  """Outputs of tokens first .. T - 1, one at a time."""
  cache = decode.init_cache(B, H, K, window)
  if first:
    _, turned = turn(q[:, :first], k[:, :first], jnp.arange(first))
    cache = decode.prefill(turned, v[:, :first], cache)
  xs = [jnp.moveaxis(x[:, first:], 1, 0) for x in (q, k, v)]
  o = steps(turn)(cache, bias, (*xs, jnp.arange(first, T)))
  return jnp.moveaxis(o, 0, 1)


@pytest.mark.parametrize('name', small.by_form())
def test_a_cache_equals_the_full_prefix_for_every_encoding(name):
  encoding = rpe.get(name, H)
  bias = encoding.bias(jnp.arange(T), encoding.init(jax.random.key(1)))
  q, k, v = operands()
  want = attend(
    *encoding.rotate(q, k, jnp.arange(T)), v, bias, implementation='reference'
  )
  got = decoded(q, k, v, bias, T, turn=encoding.rotate)
  np.testing.assert_allclose(got, want, atol=2e-6)


# A ring that is full before the first token, in the middle and never.
RINGS = [(1, 5), (7, 0), (7, 20), (2 * T, 5), ((7, 1, 30), 0), ((7, 1, 30), 20)]
MORE = [(w, n) for w in (1, 7, 2 * T, (7, 1, 30)) for n in (0, 5, 20)]


@pytest.mark.parametrize(
  'window, first',
  RINGS
  + [pytest.param(*x, marks=pytest.mark.slow) for x in MORE if x not in RINGS],
)
def test_a_ring_equals_the_window(window, first):
  q, k, v = operands(1)
  widest = max(window) if isinstance(window, tuple) else window
  n = max(T, widest)
  bias = -jnp.linspace(0.1, 0.5, H)[:, None] * jnp.arange(n) ** 0.5
  want = attend(q, k, v, bias, window=window, implementation='reference')
  got = decoded(q, k, v, bias, window, first)
  np.testing.assert_allclose(got, want[:, first:], atol=2e-6)


def test_a_query_that_sees_no_key_gives_zero():
  q, k, v = (x[:, :1] for x in operands())
  bias = jnp.asarray([[-jnp.inf] + [0.0] * 7] * H)
  o, _ = decode.step(q, k, v, bias, decode.init_cache(B, H, K, 8), 0)
  np.testing.assert_array_equal(o, 0)


def test_memory_is_that_of_the_windows():
  cache = decode.init_cache(1, 4, 8, (16, 4, 16, 1), jnp.bfloat16)
  rings = jax.tree.leaves((cache.k, cache.v))
  assert sum(x.size for x in rings) == 2 * 8 * 37
  assert {x.dtype for x in rings} == {jnp.dtype('bfloat16')}
  assert sum(x.size for x in jax.tree.leaves(cache.left)) == 4 * (6 * 8 + 3)


def test_work_a_token_does_not_depend_on_the_position():
  q, k, v = (x[:, :1] for x in operands())
  f = jax.jit(decode.step)
  bias = jnp.zeros((H, 8))
  cache = decode.init_cache(B, H, K, 8)
  for position in (0, 7, 8, 1_000_000, 2**31 - 1):
    f(q, k, v, bias, cache, jnp.int32(position))
  assert f._cache_size() == 1


def test_what_does_not_fit_is_named():
  with pytest.raises(ValueError, match='one per head'):
    decode.init_cache(1, H, K, (1, 2))
  q, k, v = (x[:, :1] for x in operands())
  cache = decode.init_cache(B, H, K, 8)
  with pytest.raises(ValueError, match='8 keys'):
    decode.step(q, k, v, jnp.zeros((H, 7)), cache, 0)
  step = inspect.unwrap(decode.step)
  score = Scored(rpe.get('dape', H).score, {})
  several = decode.init_cache(B, H, K, (2, 2, 8))
  with pytest.raises(ValueError, match='one window for all heads'):
    decode.step(q, k, v, jnp.zeros((H, 8)), several, 0, score=score)
  with pytest.raises(ValueError, match='log_tail of a score'):
    decode.step(q, k, v, jnp.zeros((H, 8)), cache, 0, jnp.zeros(H), score=score)
  with pytest.raises(ValueError, match='one token'):
    step(*(x[:, :2] for x in operands()), jnp.zeros((H, 8)), cache, 0)


def test_a_compiled_step_copies_no_ring():
  """It is donated, and read only after it was written."""
  q, k, v = (x[:, :1] for x in operands())
  cache = decode.init_cache(B, H, K, 64)
  tails = jnp.zeros(H)
  step = jax.jit(decode.step, donate_argnums=4)
  args = q, k, v, jnp.zeros((H, 64)), cache, jnp.int32(3), tails
  text = step.lower(*args).compile().as_text()
  assert f'f32[{B * H},64,{K}]' in text
  copies = [x for x in text.splitlines() if ' copy(' in x]
  assert not [x for x in copies if f'[{B * H},64,{K}]' in x]


# Windows, and hyperparameters.
SCORED = {
  'fire': (T, dict(train_length=8)),
  'cope': (20, {}),
  'stick_breaking': (7, {}),
  'dape': (T, {}),
}


@pytest.mark.parametrize('clocked', [False, True])
@pytest.mark.parametrize('name', SCORED)
def test_a_score_of_a_ring_is_that_of_the_last_row(name, clocked):
  (window, hyper), first = SCORED[name], 5
  encoding = rpe.get(name, H, **hyper)
  learned = encoding.score.init(jax.random.key(2), H * K)
  learned = {n: x + 0.3 for n, x in learned.items()}
  score = Scored(encoding.score, learned)
  q, k, v = operands(2)
  increments = jax.random.uniform(jax.random.key(3), (B, T, 1)) + 0.5
  heat = 1 + jax.random.uniform(jax.random.key(4), (B, T, H))
  positions = jnp.cumsum(increments, 1)
  whole = bool(np.all(encoding.score.softmax)) and clocked
  kernel = Kernel(encoding.bias, encoding.init(jax.random.key(1)))
  table = kernel if clocked else kernel.table(T)

  def part(x, *span):
    return jax.tree.map(lambda x: x[:, slice(*span)], x)

  @jax.jit
  def full(q, k, v):
    given = (
      dict(clock=accumulate(increments), positions=positions) if clocked else {}
    )
    if whole:
      given |= dict(heat=heat, heats_bias=True)
    return attend(q, k, v, table, score=score, window=window,
                  implementation='reference', **given)  # fmt: skip

  @jax.jit
  def steps(q, k, v):
    clock = accumulate(increments) if clocked else None
    cache = decode.init_cache(B, H, K, window)
    cache = decode.prefill(
      k[:, :first], v[:, :first], cache, clock=part(clock, first)
    )

    def one(cache, x):
      q, k, v, step, heat, at, i = x
      given = {}
      if clocked:
        given = dict(clock=Positions(step, 0 * step), positions=at[:, None])
      if whole:
        q, given['heat'] = q * heat[..., None], heat[:, None]
      o, cache = decode.step(
        q[:, None],
        k[:, None],
        v[:, None],
        table,
        cache,
        i,
        score=score,
        **given,
      )
      return cache, o[:, 0]

    xs = q, k, v, increments[:, :, None], heat, positions
    xs = [jnp.moveaxis(x[:, first:], 1, 0) for x in xs]
    return jax.lax.scan(one, cache, (*xs, jnp.arange(first, T)))[1]

  got = jnp.moveaxis(steps(q, k, v), 0, 1)
  np.testing.assert_allclose(got, full(q, k, v)[:, first:], atol=5e-6)


def on_a_clock(q, k, v, first, clock_window, log_tail=None):
  """Outputs of tokens first .. T - 1 on a clock, and the cache at the end."""
  kernel = rpe.get('linear', H)
  increments = jax.random.exponential(jax.random.key(3), (B, T, H))
  clock = accumulate(increments)

  @jax.jit
  def one(cache, x):
    q, k, v, increment, position = x
    return decode.step(
      q[:, None], k[:, None], v[:, None], Kernel(kernel.bias, {}), cache,
      position, log_tail, clock=accumulate(increment[:, None]),
      clock_window=clock_window,
    )[::-1]  # fmt: skip

  cache = decode.prefill(
    k[:, :first], v[:, :first], decode.init_cache(B, H, K, T),
    clock=jax.tree.map(lambda x: x[:, :first], clock), evicts=True,
  )  # fmt: skip
  outputs = []
  for i in range(first, T):
    now = (x[:, i] for x in (q, k, v, increments))
    cache, o = one(cache, (*now, jnp.asarray(i)))
    outputs.append(o[:, 0])
  whole = functools.partial(attend, q, k, v, Kernel(kernel.bias, {}))
  return jnp.stack(outputs, 1), cache, functools.partial(whole, clock=clock)


CLOCK_WINDOW = (1.5, 4.0, 9.0)


@pytest.mark.parametrize('first', [1, 12])
def test_a_ring_evicts_by_the_difference_of_its_clock(first):
  q, k, v = operands(2)
  got, cache, whole = on_a_clock(
    q, k, v, first, jnp.asarray(CLOCK_WINDOW), jnp.full(H, -jnp.inf)
  )
  near = whole(clock_window=CLOCK_WINDOW)
  np.testing.assert_allclose(got, near[:, first:], atol=2e-6)
  moved = jnp.linalg.norm(whole() - near, axis=-1)[:, first:]
  bound = cache.left[0].error.reshape(B, H)
  assert (moved.max(1) <= bound + 1e-6).all() and moved.max() > 0.1
  assert (bound < 2 * jnp.linalg.norm(v, axis=-1).max(1)).any()


def test_an_infinite_difference_evicts_nothing():
  q, k, v = operands(2)
  far = jnp.full(H, jnp.inf)
  got, cache, whole = on_a_clock(q, k, v, 12, far, jnp.full(H, -jnp.inf))
  np.testing.assert_allclose(got, whole()[:, 12:], atol=2e-6)
  assert float(decode.lost(cache)) == 0


def test_a_difference_without_a_clock_is_refused():
  q, k, v = (x[:, :1] for x in operands())
  cache = decode.init_cache(B, H, K, T)
  with pytest.raises(ValueError, match='clock_window of a cache needs a clock'):
    decode.step(q, k, v, jnp.zeros((H, T)), cache, 0, clock_window=jnp.ones(H))
