"""Laws that every clock keeps; a new file is under all of them."""

import dataclasses
import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive

from extrapolation import clock
from extrapolation.clock import check
from extrapolation.parts import Inputs
from extrapolation.parts.inputs import previous_ids
from extrapolation.parts.normed import Normed, projected

H, B, T, D = 4, 2, 24, 8
KEY = jax.random.key(0)
# Beside the defaults, what has a formula of its own.
SPECS = [(name, {}) for name in clock.names()] + [
  ('forget', {'gate': 'bias'}),
  ('forget', {'gate': 'fixed'}),
  ('segment', {'ids': '3-7'}),
  ('stop', {'step': 9}),
]


@pytest.fixture(params=SPECS, ids=lambda spec: clock.label(*spec))
def record(request):
  name, hyper = request.param
  return clock.get(name, H, **hyper)


def inputs(seed=0, T=T, key=KEY, dtype='float32', positions=None, step=0):
  x, ids = jax.random.split(jax.random.key(seed))
  positions = jnp.arange(T) if positions is None else positions
  tokens = jax.random.randint(ids, (B, T), 0, 12)
  return Inputs(
    positions=positions,
    x=jax.random.normal(x, (B, T, D)).astype(dtype),
    previous=previous_ids(tokens, positions),
    step=step,
    key=key,
  )


def part(given, where):
  """Some of the tokens."""
  return dataclasses.replace(
    given,
    positions=given.positions[..., where],
    x=given.x[:, where],
    previous=given.previous[:, where],
  )


def params_of(record, push=0.0):
  raw = record.unconstrain(record.init(KEY, D))
  return record.constrain(jax.tree.map(lambda x: x + push, raw))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_increments_are_float32_per_token_and_head(record, dtype):
  out = record.increments(inputs(dtype=dtype), params_of(record))
  assert out.dtype == jnp.float32
  assert out.shape in [(b, T, h) for b in (1, B) for h in (1, H)]


@pytest.mark.parametrize('push', [-30.0, 0.0, 30.0])
def test_no_clock_decreases(record, push):
  """Wherever its parameters are, and with strong content."""
  given = inputs()
  given = dataclasses.replace(given, x=10 * given.x)
  out = record.increments(given, params_of(record, push))
  assert np.isfinite(out).all() and (np.asarray(out) >= 0).all()
  position = record.positions(inputs(), params_of(record, push))
  assert (np.diff(position, axis=1) >= 0).all()


def test_the_same_key_gives_the_same_positions(record):
  first, again = (record.increments(inputs(), params_of(record))
                  for _ in range(2))  # fmt: skip
  np.testing.assert_array_equal(first, again)
  compiled = jax.jit(record.increments)(inputs(), params_of(record))
  np.testing.assert_allclose(compiled, first, rtol=1e-5, atol=1e-6)


def test_later_tokens_change_nothing(record):
  here, other = inputs(0), inputs(1)
  n = T // 2
  mixed = dataclasses.replace(
    here,
    x=jnp.concatenate([here.x[:, :n], other.x[:, n:]], 1),
    previous=jnp.concatenate([here.previous[:, :n], other.previous[:, n:]], 1),
  )
  p = params_of(record)
  np.testing.assert_array_equal(
    record.increments(mixed, p)[:, :n], record.increments(here, p)[:, :n]
  )


def test_one_token_at_a_time_gives_the_same_increments(record):
  """Outside training, so that decoding with a cache has the same positions."""
  given, p = inputs(key=None), params_of(record)
  whole = record.increments(given, p)
  for t in (0, 1, T - 1):
    one = record.increments(part(given, slice(t, t + 1)), p)
    np.testing.assert_allclose(one, whole[:, t : t + 1], rtol=1e-5, atol=1e-6)


def test_a_document_has_its_positions_wherever_it_is_packed(record):
  given, p = inputs(key=None, positions=jnp.r_[0:9, 0:15]), params_of(record)
  whole = record.positions(given, p)
  for where in (slice(0, 9), slice(9, T)):
    np.testing.assert_allclose(
      record.positions(part(given, where), p),
      whole[:, where],
      rtol=1e-5,
      atol=1e-5,
    )
  rows = jnp.stack([given.positions, jnp.arange(T)])  # each sequence its own
  both = record.positions(dataclasses.replace(given, positions=rows), p)
  np.testing.assert_allclose(both[0], whole[0], rtol=1e-5, atol=1e-5)


def test_learned_parameters_have_finite_gradients(record):
  p = params_of(record)
  total = jax.grad(lambda p: (record.increments(inputs(), p) ** 2).sum())(p)
  for name, g in total.items():
    assert np.isfinite(g).all() and np.abs(g).max() > 0, name
  assert record.learned == bool(p)


def test_constrain_is_the_inverse_of_unconstrain(record):
  p = record.init(KEY, D)
  again = record.constrain(record.unconstrain(p))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5), again, p)


def test_it_passes_the_check_and_gives_its_source(record):
  check.check(record, H)
  module = importlib.import_module(f'extrapolation.clock.{record.name}')
  assert record.source and record.name in clock.names()
  assert len(inspect.getsource(module).splitlines()) <= 50


@pytest.mark.parametrize('heads', [1, 3, 12])
@pytest.mark.parametrize('name', clock.names())
def test_any_number_of_heads(name, heads):
  record = clock.get(name, heads)
  out = record.increments(inputs(), record.init(KEY, D))
  assert out.shape[-1] in (1, heads)


def test_the_default_is_the_index():
  record = clock.Clock()
  assert record.is_index and not record.learned
  given = inputs(positions=jnp.r_[0:9, 0:15])
  np.testing.assert_array_equal(
    record.positions(given, {})[0, :, 0], given.positions
  )
  assert not clock.get('stop', H).is_index


@pytest.mark.parametrize('name', clock.names())
def test_to_make_one_computes_nothing(name, monkeypatch):
  """A sweep is listed, and a config checked, without waiting for XLA."""
  operations, bind = [], Primitive.bind
  monkeypatch.setattr(
    Primitive,
    'bind',
    lambda self, *args, **kw: (
      operations.append(self) or bind(self, *args, **kw)
    ),
  )
  with jax.disable_jit():  # else an operation known already is not bound again
    clock.get(name, H)
    assert not operations
    jnp.zeros(3) + 1  # what would be seen
  assert operations


def normed(D, seed=0):
  """A norm of random weights, and content that it lets through."""
  gain, shift, u = (
    jax.random.normal(k, shape)
    for k, shape in zip(
      jax.random.split(jax.random.key(seed), 3),
      ((D,), (D,), (B, T, D)),
      strict=True,
    )
  )
  u = (u - u.mean(-1, keepdims=True)) / u.std(-1, keepdims=True)
  return Normed(gain, shift), gain * u + shift


PACED = [s for s in SPECS if clock.get(s[0], H, **s[1]).pace is not None]


@pytest.mark.parametrize('spec', PACED, ids=lambda spec: clock.label(*spec))
def test_positions_keep_the_pace(spec):
  """low (i - j) <= p_i - p_j <= high (i - j), outside training.

  Of the clocks that state a pace; of others theory says unknown.
  """
  record = clock.get(spec[0], H, **spec[1])
  params = params_of(record, 0.5)
  norm, x = normed(D)
  given = dataclasses.replace(
    inputs(key=None, step=1 << 30), x=x, positions=jnp.arange(T)
  )
  p = np.asarray(record.positions(given, params), np.float64)
  low, high = (np.asarray(x) for x in record.pace(params, norm))
  assert np.all(low >= 0) and np.all(low <= high) and np.all(high < np.inf)
  assert np.all(low > 0) or not record.positive
  for t in (1, 2, 7):
    moved = p[:, t:] - p[:, :-t]
    assert np.all(moved >= low * t - 1e-4) and np.all(moved <= high * t + 1e-4)
  unknown = [np.asarray(x) for x in record.pace(params, None)]
  assert np.all(unknown[0] <= low) and np.all(unknown[1] >= high)


def test_content_reaches_the_pace():
  """The bound of a projection is attained, but for what rounding may add."""
  norm, _ = normed(D)
  W = jax.random.normal(KEY, (D, H))
  low, high = projected(norm, W)
  g = norm.gain[:, None] * W
  u = g - g.mean(0)
  u = u / jnp.sqrt((u**2).mean(0))
  most = jnp.einsum('dh,dh->h', norm.gain[:, None] * u + norm.shift[:, None], W)
  np.testing.assert_allclose(most, high, rtol=0.05, atol=0.3)
  assert np.all(most <= high)
  assert np.all(2 * (norm.shift @ W) - most >= low)
