"""Tiles of a score against the definition, and a score against loops."""

import functools
import inspect

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import (
  Kernel,
  Scored,
  accumulate,
  attend,
  attend_with_lse,
  tiles,
)
from extrapolation.parts.score import Score

B, T, H, K = 2, 53, 3, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
  monkeypatch.setattr(tiles, 'BLOCK', 16)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def kerple(t, params):
  return -params['a'] * jnp.log1p(params['b'] * t)


def ends(t, params):
  """Weight zero from a distance on, which is not the same in all heads."""
  rows = [jnp.where(t < 5 * (h + 2), -params['a'][h] * t, -jnp.inf)
          for h in range(H)]  # fmt: skip
  return jnp.stack(rows)


def mixed(tile, params):
  """A logit of all that a tile has, over all heads."""
  near = jnp.exp(-tile.passed) + jnp.log1p(tile.distance) / (1 + tile.position)
  turned = jnp.einsum('hrk,k->hr', tile.q, params['u'])[..., None]
  x = tile.z + tile.bias + turned * near + jnp.exp(-tile.between)
  return jnp.einsum('gh,hrs->grs', params['W'], jnp.tanh(x)) + x


def crossed(tile, params):
  """A step that reads all heads."""
  x = tile.z + jnp.roll(tile.bias, 1, 0) + tile.position * 0.01
  x = x + 0.1 * tile.distance + params['u'].sum() * tile.q.sum(-1)[..., None]
  return jax.nn.sigmoid(x)


def mixed_params(key, D):
  W, u = jax.random.split(key)
  return dict(W=jax.random.normal(W, (H, H)), u=jax.random.normal(u, (D // H,)))


ALL = Score(
  logit=mixed, step=crossed, softmax=(True, False, True), init=mixed_params
)
SUM = Score(logit=lambda tile, params: tile.z + tile.bias)
SCORES = {
  name: rpe.get(name, H).score
  for name in ('fire', 'cope', 'stick_breaking', 'dape')
} | {'all': ALL, 'sum': SUM}


def inputs(seed, h=H, increments='exponential', score='sum'):
  """Operands of `both`, float64."""
  rng = np.random.default_rng(seed)
  q, k, v, g = (rng.normal(size=(B, T, H, K)) for _ in range(4))
  draw = {
    'exponential': lambda size: rng.exponential(size=size),
    'ties': lambda size: rng.integers(0, 3, size).astype(float),
    'far': lambda size: 1e3 * (rng.uniform(size=size) < 0.1) + 1e-3,
  }
  learned = SCORES[score].init(jax.random.key(seed), H * K)
  return dict(
    q=q, k=k, v=v, g=g,
    params=dict(a=rng.uniform(0.5, 2, (H, 1)), b=rng.uniform(0.1, 2, (H, 1))),
    learned={n: x + 0.1 * rng.normal(size=x.shape) for n, x in learned.items()},
    increments=draw[increments]((B, T, h)),
    positions=np.cumsum(rng.exponential(size=(B, T, h)), 1),
    heat=rng.uniform(0.5, 2, (B, T, H)),
    documents=np.sort(rng.integers(0, 4, (B, T)), 1).astype(np.int32),
  )  # fmt: skip


@functools.cache  # compiled once per case: what hypothesis draws is data
def both(how, score, bias, parts, options=()):
  """Output and all gradients of `inputs`, under the `parts` of them."""

  def forward(qkv, params, learned, by_token, documents):
    kernel, given = Kernel(bias, params), dict(options)
    if 'clock' in parts:
      given['clock'] = accumulate(by_token['increments'])
    for name in ('heat', 'positions'):
      if name in parts:
        given[name] = by_token[name]
    if 'documents' in parts:
      given['documents'] = documents
    scored = Scored(SCORES[score], learned)
    return attend(*qkv, kernel, score=scored, implementation=how, **given)

  def f(x):
    by_token = {n: x[n] for n in ('increments', 'heat', 'positions')}
    operands = tuple(x[n] for n in 'qkv'), x['params'], x['learned'], by_token
    o, pull = jax.vjp(lambda *a: forward(*a, x['documents']), *operands)
    return o, pull(x['g'])

  return jax.jit(f)


def close(got, want, error=1e-11):
  """Relative to the largest entry, or to 1."""
  for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
    scale = max(1.0, float(np.abs(b).max()))
    np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=error)


WINDOWS = (('window', (30, 53, 9)), ('clock_window', (2.0, 5.0, 9.0)))
WHOLE = (('heats_bias', True),)
# score, kernel, what else there is, options, heads of the clock
CASES = {
  'fire on a clock': ('fire', kerple, 'clock positions', (), H),
  'fire of documents': ('fire', kerple, 'documents heat', WHOLE, 1),
  'cope': ('cope', kerple, 'documents heat', (('window', (30, 53, 9)),), 1),
  'sticks': ('stick_breaking', ends, 'clock documents heat', WINDOWS, 1),
  'dape of windows': ('dape', ends, '', (('window', (30, 53, 9)),), 1),
  'dape on a clock': ('dape', ends, 'clock documents', WINDOWS, H),
  'all on a clock': (
    'all', ends, 'clock documents heat positions', WINDOWS, H,
  ),
  'all of a table': ('all', ends, 'heat positions documents', (), 1),
  'a heat of all': ('sum', kerple, 'clock heat', WHOLE, 1),
}  # fmt: skip


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('case', CASES)
@hypothesis.settings(
  max_examples=6,
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
  seed=st.integers(0, 99),
  increments=st.sampled_from(['exponential', 'ties', 'far']),
)
def test_values_and_gradients_are_those_of_the_definition(
  case, seed, increments
):
  *case, h = CASES[case]
  x = inputs(seed, h, increments, case[0])
  close(both('blockwise', *case)(x), both('reference', *case)(x))
