"""Attention over places: definition, tiles, and what both must agree with."""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import geometry
from extrapolation.attention import (
  Kernel,
  attend,
  attend_places,
  places_checks,
  places_tiles,
)
from extrapolation.geometry import graph, sizes

B, H, K = 2, 3, 4
NAMES = ('data', 'fsdp', 'seq')


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch, request):
  if 'memory' not in request.node.name:
    monkeypatch.setattr(places_tiles, 'BLOCK', 8)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def decay(t, params):
  return -params['a'] * jnp.log1p(params['b'] * t)


def ends(t, params):
  return jnp.where(t < 4, -params['a'] * t, -jnp.inf)


def params(seed=0):
  a, b = np.random.default_rng(seed).uniform(0.3, 2, (2, H, 1))
  return dict(a=jnp.asarray(a), b=jnp.asarray(b))


@functools.cache
def pieces():
  """A graph with lengths that are not whole, in two pieces."""
  rng = np.random.default_rng(0)
  edges = np.triu(rng.uniform(0.2, 2, (21, 21)) * (rng.random((21, 21)) < 0.2))
  edges[:14, 14:] = 0
  edges += np.eye(21, k=1) * (np.arange(21) != 13)[:, None]
  return graph.of(edges, 'hidden')


def shape(text, size):
  """A geometry, and places of queries and keys in it."""
  if text == 'graph':
    g = pieces()
    return g, g.places((21,)), g.places((21,))
  g = geometry.parse(text)
  s = sizes.parse(size, g)
  return g, g.places(s), (g.key_places or g.places)(s)


def operands(T, S, seed=0, dtype=np.float64, hidden=0.2):
  """q, k, v, cotangent and hidden keys."""
  rng = np.random.default_rng(seed)
  q, g = rng.normal(size=(2, B, T, H, K))
  k, v = rng.normal(size=(2, B, S, H, K))
  x = tuple(jnp.asarray(a, dtype) for a in (q, k, v, g))
  return *x, jnp.asarray(rng.random((B, S)) < hidden)


def results(how, shape, q, k, v, g, hidden, bias, as_arguments=False):
  """Output, and gradients of q, k, v and the bias; compiled."""
  space, *both = shape

  @jax.jit
  def f(q, k, v, bias, g, hidden, *traced):
    here = traced or both

    def forward(q, k, v, bias):
      return attend_places(
        q, k, v, bias, space, *here, hidden=hidden, implementation=how,
        length=40 if traced else None,
      )  # fmt: skip

    o, pull = jax.vjp(forward, q, k, v, bias)
    return o, pull(g.astype(o.dtype))

  traced = [jnp.asarray(x) for x in both] if as_arguments else []
  return f(q, k, v, bias, g, hidden, *traced)


def close(got, want, error=1e-12):
  """Relative to the largest entry, or to 1."""
  for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
    scale = max(1.0, float(np.abs(b).max()))
    np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=error)


# geometry, size, the bias, whether keys are hidden, queries left out
CASES = {
  'line': ('line', '19', 'table', True, 0),
  'both': ('both', '37', ends, False, 6),
  'grid': ('grid', '5x7', decay, True, 0),
  'full boxes': ('grid', '4x8', 'table', False, 0),
  'max norm': ('grid:norm=max', '5x7', 'table', False, 3),
  'l2 norm': ('grid:norm=l2', '5x7', decay, True, 0),
  'l2 norm that ends': ('grid:norm=l2', '6x6', ends, False, 0),
  'grid of 3 axes': ('grid:3', '3x4x2', decay, False, 0),
  'tree': ('tree:2', '3', 'table', True, 0),
  'graph': ('graph', '', decay, True, 0),
  'cross': ('cross', '19', decay, True, 5),
  'cross backward': ('cross:backward', '19', 'table', False, 5),
  'no bias': ('grid', '5x7', None, True, 0),
  'no bias, causal': ('line', '19', None, False, 0),
}
SLOW = 'full boxes', 'max norm', 'grid of 3 axes', 'cross backward', 'no bias'


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize(
  'case',
  [
    pytest.param(case, marks=pytest.mark.slow if case in SLOW else ())
    for case in CASES
  ],
)
def test_values_and_gradients_are_those_of_the_definition(case):
  text, size, bias, hides, fewer = CASES[case]
  space, queries, keys = shape(text, size)
  queries = queries[: len(queries) - fewer]
  *x, hidden = operands(len(queries), len(keys))
  if bias == 'table':
    n = places_checks.operands(
      *x[:3], Kernel(decay, params()), space, queries, keys, None, None
    )[0].shape[1]  # fmt: skip
    bias = jnp.asarray(np.random.default_rng(1).normal(size=(H, n + 1)))
  elif bias is not None:
    bias = Kernel(bias, params())
  x = space, queries, keys, *x, hidden if hides else None, bias
  close(*(results(how, x[:3], *x[3:]) for how in ('blockwise', 'reference')))


@pytest.mark.usefixtures('float64')
def test_places_that_are_arguments():
  s = shape('grid', '5x7')
  x = *operands(len(s[1]), len(s[2])), Kernel(decay, params())
  got = results('blockwise', s, *x, as_arguments=True)
  close(got, results('reference', s, *x))


# Distances as one writes them, without the code of a geometry.
BY_HAND = {
  'line': ('9', lambda i, j: i - j if j <= i else None),
  'both': ('9', lambda i, j: abs(i - j)),
  'cross:backward': ('9', lambda i, j: abs(i - (8 - j))),
  'grid': ('3x4', lambda i, j: abs(i // 4 - j // 4) + abs(i % 4 - j % 4)),
  'grid:norm=max': (
    '3x4', lambda i, j: max(abs(i // 4 - j // 4), abs(i % 4 - j % 4)),
  ),
  'grid:norm=l2': (
    '3x4', lambda i, j: math.hypot(i // 4 - j // 4, i % 4 - j % 4),
  ),
}  # fmt: skip


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('how', ['reference', 'blockwise'])
@pytest.mark.parametrize('text', BY_HAND)
def test_a_loop_in_numpy_gives_the_same(text, how):
  size, distance = BY_HAND[text]
  s, p = shape(text, size), params()
  q, k, v, _, hidden = operands(len(s[1]), len(s[2]))
  hidden = hidden.at[1].set(True)  # a sequence of which nothing is seen
  f = jax.jit(lambda *x: attend_places(*x, *s, hidden=hidden,
                                       implementation=how))  # fmt: skip
  got = f(q, k, v, Kernel(decay, p))
  want = np.zeros(q.shape)
  for b, i, h in np.ndindex(*q.shape[:3]):
    total = 0.0
    for j in range(k.shape[1]):
      t = distance(i, j)
      if t is None or hidden[b, j]:
        continue
      bias = -p['a'][h, 0] * math.log1p(p['b'][h, 0] * t)
      weight = math.exp(q[b, i, h] @ k[b, j, h] / math.sqrt(K) + bias)
      total += weight
      want[b, i, h] += weight * np.asarray(v[b, j, h])
    want[b, i, h] /= total or 1
  close(got, want)


def table(n, seed=3):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(H, n)))


@pytest.mark.usefixtures('float64')
def test_a_line_is_causal_attention():
  s, bias = shape('line', '37'), table(37)
  q, k, v, g, _ = operands(37, 37)

  @jax.jit
  def causal(q, k, v, bias, g):
    o, pull = jax.vjp(
      lambda *x: attend(*x, implementation='reference'), q, k, v, bias
    )
    return o, pull(g)

  got = results('blockwise', s, q, k, v, g, None, bias)
  close(got, causal(q, k, v, bias, g))


@pytest.mark.usefixtures('float64')
def test_a_grid_of_height_one_and_a_path_are_both_directions_of_a_line():
  x = *operands(19, 19), table(19)
  path = graph.of(np.eye(19, k=1))
  want = results('blockwise', shape('both', '19'), *x)
  vertices = path.places((19,))
  close(results('blockwise', shape('grid', '1x19'), *x), want)
  close(results('blockwise', (path, vertices, vertices), *x), want)


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('text, size', [('grid', '5x7'), ('tree:2', '4')])
def test_a_permutation_of_places_permutes_the_outputs(text, size):
  s = shape(text, size)
  x, bias = operands(len(s[1]), len(s[2])), Kernel(decay, params())
  order = np.random.default_rng(0).permutation(len(s[1]))
  moved = s[0], s[1][order], s[2][order]
  o, (dq, dk, dv, db) = results('blockwise', s, *x, bias)
  got = results('blockwise', moved, *(a[:, order] for a in x), bias)
  o, dq, dk, dv = (a[:, order] for a in (o, dq, dk, dv))
  close(got, (o, (dq, dk, dv, db)))


def test_bfloat16_operands_accumulate_in_float32():
  s = shape('grid', '12x12')
  *x, hidden = operands(144, 144, dtype=np.float32)
  low = [a.astype(jnp.bfloat16) for a in x]
  bias = jnp.asarray(table(23), jnp.float32)
  got = results('blockwise', s, *low, hidden, bias)
  dtypes = [a.dtype for a in jax.tree.leaves(got)]
  assert dtypes == [jnp.bfloat16] * 4 + [jnp.float32]
  exact = [a.astype(jnp.float32) for a in low]
  want = results('reference', s, *exact, hidden, bias)
  # half a unit in the last of 8 bits for what is returned in bfloat16
  close([a.astype(jnp.float32) for a in jax.tree.leaves(got)],
        jax.tree.leaves(want), 4e-3)  # fmt: skip


def test_extreme_logits_are_finite():
  s = shape('both', '37')  # blocks with empty slots
  *x, hidden = operands(37, 37, dtype=np.float32)
  bias = jnp.asarray(1e4 * table(37), jnp.float32)
  x = [1e3 * a for a in x]
  for a in jax.tree.leaves(results('blockwise', s, *x, hidden, bias)):
    assert np.isfinite(a).all()


def test_under_vmap_remat_and_eval_shape():
  s, bias = shape('grid', '5x7'), jnp.asarray(table(11), jnp.float32)
  q, k, v, *_ = operands(35, 35, dtype=np.float32)

  def loss(q, how):
    f = inspect.unwrap(attend_places)  # past the shape checks of the test run
    f = functools.partial(f, implementation=how)
    o = jax.vmap(lambda q: f(q, k, v, bias, *s))(q[None])
    return (o**2).sum()

  grad = jax.jit(
    jax.grad(jax.checkpoint(loss, static_argnums=1)), static_argnums=1
  )
  got, want = (grad(q, how) for how in ('blockwise', 'reference'))
  np.testing.assert_allclose(got, want, atol=1e-5)
  o = jax.eval_shape(lambda q: attend_places(q, k, v, bias, *s), q)
  assert (o.shape, o.dtype) == (q.shape, q.dtype)


def test_memory_is_linear():
  """Forward and backward of 256x256 cells, 8 heads of 64: under 2 GB."""
  g, cells, _ = shape('grid', '256x256')
  x = jax.ShapeDtypeStruct((1, 65_536, 8, 64), jnp.float32)
  bias = jax.ShapeDtypeStruct((8, 511), jnp.float32)

  def step(q, k, v, bias, ct):
    o, pull = jax.vjp(
      lambda *a: attend_places(*a, g, cells, cells), q, k, v, bias
    )
    return o, pull(ct)

  step = jax.jit(step).lower(x, x, x, bias, x).compile()
  assert step.memory_analysis().temp_size_in_bytes < 2e9


@pytest.mark.usefixtures('float64')
def test_a_mesh_spreads_the_batch():
  s, x = shape('grid', '5x7'), operands(35, 35)
  bias = table(11)
  want = results('blockwise', s, *x, bias)
  kinds = (jax.sharding.AxisType.Auto,) * 3
  with jax.set_mesh(jax.make_mesh((2, 1, 1), NAMES, kinds)):
    close(results('blockwise', s, *x, bias), want)


def test_a_mesh_that_spreads_tokens_is_refused():
  s = shape('grid', '5x7')
  q, k, v, *_ = operands(35, 35, dtype=np.float32)
  kinds = (jax.sharding.AxisType.Auto,) * 3
  with (
    jax.set_mesh(jax.make_mesh((1, 1, 2), NAMES, kinds)),
    pytest.raises(ValueError, match="mesh axis 'seq' of 2: .* 'data'"),
  ):
    attend_places(q, k, v, None, *s)
