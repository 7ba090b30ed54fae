"""Any elementwise jnp function is read exactly; anything else is refused."""

import dataclasses
import math
from fractions import Fraction

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from extrapolation import rpe, theory
from extrapolation.theory import finite_horizon
from extrapolation.theory.enclosures import ball, sums
from extrapolation.theory.expression import trace
from extrapolation.theory.expression.graph import Graph, nodes
from tests.theory import symbolic

KEY = jax.random.key(3)
N = 300


def as_floats(heads, n=N):
  return np.stack(
    [finite_horizon.log_weights(h, np.arange(float(n))) for h in heads]
  )


@pytest.mark.parametrize('name', rpe.names())
def test_reading_of_an_encoding_is_its_bias(name):
  encoding = rpe.get(name, 4)
  params = encoding.init(KEY)
  heads = trace.read(encoding.bias, params)
  theirs = np.asarray(encoding.bias(jnp.arange(N), params), np.float64)
  np.testing.assert_allclose(as_floats(heads), theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('name', rpe.names())
def test_balls_hold_the_float64_reading(name):
  encoding = rpe.get(name, 4)
  heads = trace.read(encoding.bias, encoding.init(KEY))
  plain = as_floats(heads, 40)
  with sums.precision():
    for head, row in zip(heads, plain, strict=True):
      program = ball.Program(head)
      for t in (0, 1, 2, 7, 16, 17, 39):
        assert float(program.at(t).mid()) == pytest.approx(
          row[t], rel=1e-11, abs=1e-11
        )


@pytest.mark.parametrize('name', ['alibi', 'type1', 'type2', 'sandwich', 't5'])
def test_sympy_reading_has_the_same_values(name):
  encoding = rpe.get(name, 4)
  heads = trace.read(encoding.bias, encoding.init(KEY))
  for head, row in zip(heads, as_floats(heads, 40), strict=True):
    e = symbolic.expression(head)
    for t in (0, 1, 16, 39):
      assert float(e.subs(symbolic.T, t)) == pytest.approx(row[t], rel=1e-9)


def test_slopes_are_exact_rationals():
  e = symbolic.expression(trace.read(rpe.get('alibi', 8).bias, {})[7])
  assert e == -symbolic.T / 256
  e = symbolic.expression(trace.read(rpe.get('alibi', 12).bias, {})[8])
  # 2^-1/2 in float32 is a fraction over 2^24
  assert -e / symbolic.T == sp.Rational(float(np.float32(2**-0.5)))


def test_parameters_may_be_names():
  (head,) = trace.read(
    lambda t, p: -p['a'] * jnp.log1p(p['b'] * t), {'a': 'a', 'b': 'b'}
  )
  a, b = sp.symbols('a b', positive=True)
  assert symbolic.expression(head) == -a * sp.log(1 + b * symbolic.T)


XS = jnp.array([0.0, 1, 5])

FUNCTIONS = {
  'logaddexp': lambda t: jnp.logaddexp(-1.0 * t, jnp.log(1e-6)),
  'softplus': lambda t: -jax.nn.softplus(t * 1.0 - 20),
  'sigmoid': lambda t: jax.nn.log_sigmoid(-t * 1.0) - jax.nn.sigmoid(t * 1.0),
  'clip': lambda t: jnp.clip(-0.1 * t, -5, -1),
  'remainder': lambda t: -1.0 * (t % 3) - (t // 4),
  'float_remainder': lambda t: -((t * 0.5) % 1.5),
  'where': lambda t: jnp.where((t > 3) & (t != 7), -t * 1.0, 0.0),
  'nested_where': lambda t: jnp.where(t < 5, 0, jnp.where(t < 9, -1, -jnp.inf)),
  'powers': lambda t: -jnp.cbrt(t * 1.0) - jnp.square(t / 9) - jnp.exp2(-t),
  'hyperbolic': lambda t: -jnp.tanh(t / 9) - jnp.sinh(t / 99) - jnp.arcsinh(t),
  'inverse': lambda t: -jnp.arctan(t * 1.0) - jax.scipy.special.erf(t / 10),
  'rounding': lambda t: -jnp.ceil(t / 7.3) - jnp.round(t / 5.3),
  'ties': lambda t: -jnp.round(t / 2) - jnp.round(t * 0.75 - 1),
  'ties_away': lambda t: -jax.lax.round((t - 20) / 2),
  'narrow': lambda t: -1.0 * jnp.minimum(t, 100).astype(jnp.int8),
  'steps': lambda t: -1.0 * (8 * jnp.log(t + 1.0)).astype(jnp.int32),
  'trunc': lambda t: -jnp.trunc(t / 3.1),
  'table': lambda t: jnp.array([0.5, -1, -2, -3])[jnp.minimum(t // 10, 3)],
  'sum': lambda t: jnp.cos(t[:, None] * jnp.array([0.1, 1.0])).sum(-1),
  'mlp': lambda t: (
    jnp.tanh(jnp.log1p(t * 1.0)[:, None] @ jnp.ones((1, 3))) @ jnp.ones((3, 2))
  ).T,
  'heads': lambda t: jnp.stack([-t * 1.0, -jnp.sqrt(t * 1.0)]),
  'expm1': lambda t: jnp.expm1(-t * 1.0) + jnp.sign(t - 3) + jnp.abs(t - 9.5),
  'interp': lambda t: jnp.interp(t * 1.0, jnp.array([0.0, 9, 99]), -XS),
  'polyval': lambda t: jnp.polyval(jnp.array([-0.01, 0.5, 1]), t * 1.0),
  'select': lambda t: jnp.select([t < 3, t < 9], [t * 1.0, -t * 1.0], 0.0),
  'digitize': lambda t: -1.0 * jnp.digitize(t, jnp.array([1, 5, 20])),
  'bits': lambda t: -1.0 * (t & 7) - (t >> 3),
  'cond': lambda t: jax.lax.cond(True, lambda x: -x, lambda x: x, t * 1.0),
  'argmax': lambda t: -1.0 * jnp.argmax(jnp.stack([t * 0.0 + 3, t * 1.0]), 0),
  'lgamma': lambda t: -jax.lax.lgamma(t + 1.0),
  'logsumexp': lambda t: jax.nn.logsumexp(jnp.stack([-t, -jnp.sqrt(t)]), 0),
  'gelu': lambda t: -jax.nn.gelu(t - 9.5) - jax.nn.silu(t * 0.1),
  'scatter': lambda t: (-t * 1.0) * jnp.ones((2, 1)).at[0].set(0.5),
  'piecewise': lambda t: jnp.piecewise(
    t * 1.0, [t < 9, t >= 9], [lambda x: -x, lambda x: -jnp.sqrt(x)]
  ),
  'tile': lambda t: jnp.tile(-t * 1.0, (3, 1)),
  'jit': jax.jit(lambda t: -jnp.log1p(t * 1.0)),
}  # fmt: skip


@pytest.mark.parametrize('name', FUNCTIONS)
def test_user_functions(name):
  bias = FUNCTIONS[name]
  heads = trace.read(bias)
  theirs = np.atleast_2d(np.asarray(bias(jnp.arange(N)), np.float64))
  np.testing.assert_allclose(as_floats(heads), theirs, rtol=3e-5, atol=3e-5)


REFUSED = {
  'cumsum': (jnp.cumsum, 'other distances'),
  'random': (
    lambda t: -t * jax.random.uniform(jax.random.key(0), (2, 1)), 'random_seed'
  ),
  'bessel': (lambda t: -jnp.i0(t * 1.0), 'bessel_i0e'),
  'sort': (lambda t: jnp.sort(t) * -1.0, 'sort'),
  'length': (lambda t: -t / t.shape[0], 'how many distances'),
  'beyond a length': (
    lambda t: -t / max(1, t.shape[0] / 20000), 'how many distances'
  ),
  'one length': (
    lambda t: -t * (2.0 if t.shape[0] == 512 else 1.0), 'how many distances'
  ),
  'roll': (lambda t: -jnp.roll(t, 6) * 1.0, 'how many distances'),
  'cut': (
    lambda t: -jnp.concatenate([t[:512], 2 * t[512:]]), 'how many distances'
  ),
  'set': (lambda t: (-t * 1.0).at[512:].set(0), 'how many distances'),
  'places': (
    lambda t: jnp.where(jnp.arange(t.shape[0]) < 900, -t, 0), 'how many dist'
  ),
  'square of int32': (lambda t: -(t**2) * 1.0, 'not fit int32'),  # 46341^2
  'int8': (lambda t: -1.0 * t.astype(jnp.int8), 'not fit int8'),
  'below 0': (lambda t: -1.0 * (t.astype(jnp.uint32) - 5), 'not fit uint32'),
  'int16': (lambda t: -1.0 * (4 * t).astype(jnp.int16), 'not fit int16'),
  'bfloat16': (lambda t: -t.astype(jnp.bfloat16), 'fewer bits'),
  'float16': (
    lambda t: -jnp.log1p(t).astype(jnp.float16).astype(jnp.float32), 'fewer'
  ),
  'reduced': (lambda t: -jax.lax.reduce_precision(t * 1.0, 8, 7), 'fewer bits'),
  'numpy': (lambda t: -np.log(t + 1), 'use jnp in place of np'),
  'math': (lambda t: -math.log(t[0] + 1) * t, 'use jnp in place of np'),
  'if': (lambda t: -t if t[0] > 0 else -2 * t, 'use jnp in place of np'),
  'reverse': (lambda t: -t[::-1] * 1.0, 'other distances'),
  'position': (lambda t: -jnp.arange(t.shape[0]) * 1.0, 'other distances'),
  'mean': (lambda t: t - t.mean(), 'other distances'),
  'square': (lambda t: -1.0 * t[:, None] * t[None], 'other distances'),
  'scalar': (lambda t: jnp.float32(1.0), 'shape'),
  'loop': (
    lambda t: jax.lax.while_loop(lambda x: x[0] < 9, lambda x: x + 1, t),
    'while',
  ),
}  # fmt: skip


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_no_function_of_distance_is_refused_by_name(name):
  bias, match = REFUSED[name]
  with pytest.raises(ValueError, match=match) as e:
    trace.read(bias)
  assert '\n' not in str(e.value)


ROUNDED = [
  lambda t: -(1 + 1e-9) * jnp.log1p(t),  # the literal is a float32
  lambda t: -jnp.exp(1e-9) * jnp.log1p(t),  # and so is its exponential
  lambda t: -(jnp.float32(1) + 1e-9) * jnp.log1p(t),
]


@pytest.mark.parametrize('bias', ROUNDED)
def test_constants_are_those_of_the_program(bias):
  """p = 1 in float32: the harmonic series; typed as text, 1 + 1e-9 is exact."""
  assert theory.verdict(bias)[0].verdict == 'diverges'
  (exact,) = theory.verdict('-(1+1e-9)*log1p(t)')
  assert exact.verdict == 'converges' and exact.margin == Fraction(1, 10**9)


def test_a_constant_in_bfloat16_has_its_rounded_value():
  def bias(t):
    return -jnp.array(1.1, jnp.bfloat16) * jnp.log1p(t)

  assert theory.verdict(bias)[0].margin == Fraction(13, 128)


def test_an_encoding_that_looks_at_lengths_is_refused():
  alibi = rpe.get('alibi', 2)
  scaled = dataclasses.replace(
    alibi, bias=lambda t, p: alibi.bias(t, p) / max(1, t.shape[0] / 512)
  )
  with pytest.raises(ValueError, match='how many distances'):
    theory.verdict(scaled)


rational = st.fractions(-3, 3, max_denominator=8)


@st.composite
def expressions(draw, depth=3):
  """A random node with its numpy counterpart."""
  g = draw(st.shared(st.builds(Graph), key='graph'))
  if depth == 0 or draw(st.booleans()):
    if draw(st.booleans()):
      return g.t, lambda t: t
    c = draw(rational)
    return g.const(c), lambda t: np.full_like(t, float(c))
  x, f = draw(expressions(depth=depth - 1))
  y, h = draw(expressions(depth=depth - 1))
  op = draw(st.sampled_from(['add', 'sub', 'mul', 'max', 'sin', 'floor', 'lt']))
  if op in ('add', 'sub', 'mul'):
    ufunc = {'add': np.add, 'sub': np.subtract, 'mul': np.multiply}[op]
    return getattr(g, op)(x, y), lambda t: ufunc(f(t), h(t))
  if op == 'max':
    return g.pick('max', x, y), lambda t: np.maximum(f(t), h(t))
  if op == 'lt':
    chosen = g.select(g.compare('lt', x, y), x, y)
    return chosen, lambda t: np.where(f(t) < h(t), f(t), h(t))
  ufunc = {'sin': np.sin, 'floor': np.floor}[op]
  return g.unary(op, x), lambda t: ufunc(f(t))


@hypothesis.given(expressions())
@hypothesis.settings(max_examples=80, deadline=None)
def test_folding_keeps_values(pair):
  node, plain = pair
  t = np.arange(20.0)
  np.testing.assert_allclose(
    finite_horizon.log_weights(node, t), plain(t), rtol=1e-9, atol=1e-9
  )


def test_equal_expressions_are_one_node():
  g = Graph()
  x = g.unary('log', g.add(g.t, g.one))
  assert g.sub(x, x) is g.zero
  assert g.add(x, x) is g.total([(2, x)])
  assert g.mul(x, x) is g.pow(x, g.const(2))
  assert g.mul(g.mul(x, x), g.neg(x)) is g.neg(g.pow(x, g.const(3)))
  assert len(nodes(g.mul(g.t, x))) == 4  # t, t + 1, log, product
  assert g.const(0.5) is g.const(Fraction(1, 2))
