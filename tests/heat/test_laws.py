"""Laws that every heat keeps; a new file is under all of them."""

import dataclasses
import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive

from extrapolation import heat
from extrapolation.heat import check
from extrapolation.parts import Inputs

H, B, T, D = 4, 2, 24, 8
KEY = jax.random.key(0)


@pytest.fixture(params=heat.names())
def record(request):
  return heat.get(request.param, H)


def inputs(seed=0, dtype='float32', positions=None):
  x = jax.random.normal(jax.random.key(seed), (B, T, D)).astype(dtype)
  return Inputs(
    positions=jnp.arange(T) if positions is None else positions, x=x
  )


def part(given, where):
  """Some of the tokens."""
  return dataclasses.replace(
    given, positions=given.positions[..., where], x=given.x[:, where]
  )


def params_of(record, push=0.0):
  raw = record.unconstrain(record.init(KEY, D))
  return record.constrain(jax.tree.map(lambda x: x + push, raw))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_scales_are_float32_per_token_and_head(record, dtype):
  out = record.scale(inputs(dtype=dtype), params_of(record))
  assert out.dtype == jnp.float32
  assert out.shape in [(b, T, h) for b in (1, B) for h in (1, H)]


@pytest.mark.parametrize('push', [-30.0, 0.0, 30.0])
def test_scales_are_positive(record, push):
  """Wherever the parameters are, with strong content, and far out."""
  for positions in (jnp.arange(T), jnp.arange(T) * 400_000):
    given = inputs(positions=positions)
    given = dataclasses.replace(given, x=10 * given.x)
    out = record.scale(given, params_of(record, push))
    assert np.isfinite(out).all() and (np.asarray(out) > 0).all()


def test_only_the_number_of_keys_counts_not_the_position(record):
  """Of an encoder, where each token sees all of them."""
  given, p = inputs(positions=jnp.full(T, 40_000)), params_of(record)
  seen = dataclasses.replace(
    given, positions=jnp.arange(T), visible=jnp.full(T, 40_001)
  )
  np.testing.assert_array_equal(record.scale(seen, p), record.scale(given, p))
  fewer = dataclasses.replace(seen, visible=jnp.full(T, 5))
  assert (record.scale(fewer, p) != record.scale(seen, p)).any()


def test_whether_a_scale_reads_content_is_known(record):
  given, p = inputs(), params_of(record)
  other = dataclasses.replace(given, x=inputs(1).x)
  same = np.array_equal(record.scale(given, p), record.scale(other, p))
  assert same == (not record.content)


def test_later_tokens_change_nothing(record):
  here, other, n = inputs(0), inputs(1), T // 2
  mixed = dataclasses.replace(
    here, x=jnp.concatenate([here.x[:, :n], other.x[:, n:]], 1)
  )
  p = params_of(record)
  np.testing.assert_array_equal(
    record.scale(mixed, p)[:, :n], record.scale(here, p)[:, :n]
  )


def test_one_token_at_a_time_gives_the_same_scale(record):
  given, p = inputs(), params_of(record)
  whole = record.scale(given, p)
  for t in (0, 1, T - 1):
    one = record.scale(part(given, slice(t, t + 1)), p)
    np.testing.assert_allclose(one, whole[:, t : t + 1], rtol=1e-5)


def test_a_document_has_its_scales_wherever_it_is_packed(record):
  given, p = inputs(positions=jnp.r_[0:9, 0:15]), params_of(record)
  whole = record.scale(given, p)
  for where in (slice(0, 9), slice(9, T)):
    apart = record.scale(part(given, where), p)
    np.testing.assert_allclose(apart, whole[:, where], rtol=1e-5)
  rows = jnp.stack([given.positions, jnp.arange(T)])  # each sequence its own
  both = record.scale(dataclasses.replace(given, positions=rows), p)
  np.testing.assert_allclose(both[0], whole[0], rtol=1e-5)


def test_learned_parameters_have_finite_gradients(record):
  p = params_of(record)
  for name, g in jax.grad(lambda p: record.scale(inputs(), p).sum())(p).items():
    assert np.isfinite(g).all() and np.abs(g).max() > 0, name
  assert record.learned == bool(p)


def test_constrain_is_the_inverse_of_unconstrain(record):
  p = record.init(KEY, D)
  again = record.constrain(record.unconstrain(p))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5), again, p)


def test_content_is_heated_unless_the_whole_logit_is_asked_for(record):
  assert record.whole is False
  assert heat.get(record.name, H, whole=True).whole is True
  assert heat.label(record.name, {'whole': True}) == f'{record.name}:whole=true'


def test_it_passes_the_check_and_gives_its_source(record):
  check.check(record, H)
  module = importlib.import_module(f'extrapolation.heat.{record.name}')
  assert record.source and '=' in module.make.__doc__
  assert len(inspect.getsource(module).splitlines()) <= 45


@pytest.mark.parametrize('heads', [1, 3, 12])
@pytest.mark.parametrize('name', heat.names())
def test_any_number_of_heads(name, heads):
  record = heat.get(name, heads)
  out = record.scale(inputs(), record.init(KEY, D))
  assert out.shape[-1] in (1, heads)


def test_the_default_is_one():
  record = heat.Heat()
  assert record.is_one and not record.learned and not record.whole
  assert (record.scale(inputs(), {}) == 1).all()
  assert not heat.get('log_n', H).is_one


@pytest.mark.parametrize('name', heat.names())
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
    heat.get(name, H)
    assert not operations
    jnp.zeros(3) + 1  # what would be seen
  assert operations


RATED = [name for name in heat.names() if heat.get(name, H).rate is not None]


@pytest.mark.parametrize('name', RATED)
def test_scales_grow_at_the_rate(name):
  """s_i - c ln i is bounded, whatever the content.

  Of the heats that state a rate; of others theory says unknown.
  """
  record = heat.get(name, H)
  params = params_of(record, 0.3)
  c = np.asarray(record.rate(params), np.float64)
  assert np.all(c >= 0)
  far = jnp.asarray([10**5, 10**6, 10**7, 10**8, 10**9, 2 * 10**9])
  given = Inputs(positions=far, x=jax.random.normal(KEY, (B, len(far), D)))
  s = np.asarray(record.scale(given, params), np.float64)
  rest = s - c * np.log(np.asarray(far, np.float64))[:, None]
  spread = rest.max(1) - rest.min(1)
  assert np.all(spread < 0.02 * (1 + c))
