"""What each jax primitive means for arrays of exact expressions."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal, Var

from extrapolation.theory.errors import UnreadableBias
from extrapolation.theory.expression import functions, shape_primitives
from extrapolation.theory.expression.functions import FUNCTIONS
from extrapolation.theory.expression.graph import Graph, Node

# Primitives that only call another jaxpr.
CALLS = {
  'jit', 'pjit', 'closed_call', 'core_call', 'custom_jvp_call',
  'custom_vjp_call', 'custom_vjp_call_jaxpr', 'remat', 'checkpoint',
  'remat2',
}  # fmt: skip


def each(f: Callable[..., Node]) -> Callable[..., np.ndarray]:
  """Lifts a scalar rule (graph, *nodes) to arrays of nodes."""

  def rule(graph: Graph, eqn: JaxprEqn | None, *args: np.ndarray):
    del eqn
    lifted = np.frompyfunc(functools.partial(f, graph), len(args), 1)
    return np.asarray(lifted(*args), object)

  rule.elementwise = True
  return rule


NARROW = (
  'the bias rounds to fewer bits than a float32 has, a step function of '
  'distance; compute it in float32 and cast what it returns'
)


def narrow(var: Var | Literal) -> bool:
  """Whether a variable is a float of fewer bits than float32."""
  kind = dtype(var)
  return jnp.issubdtype(kind, jnp.floating) and kind.itemsize < 4


def dtype(var: Var | Literal) -> np.dtype:
  """The type that jax gives a variable; object for keys of random numbers."""
  aval: Any = var.aval
  keys = jnp.issubdtype(aval.dtype, jax.dtypes.extended)
  return np.dtype(object if keys else aval.dtype)


def _is_integer(var: Var | Literal) -> bool:
  return np.issubdtype(dtype(var), np.integer)


def _divide(graph: Graph, eqn: JaxprEqn, x: np.ndarray, y: np.ndarray):
  whole = _is_integer(eqn.outvars[0])

  def one(g: Graph, a: Node, b: Node):
    q = g.div(a, b)
    return functions.truncate(g, q) if whole else q

  return each(one)(graph, eqn, x, y)


_as_number = each(lambda g, x: g.select(x, g.one, g.zero))


def _convert(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  """float -> int truncates; wider floats are the same real numbers."""
  was, now = dtype(eqn.invars[0]), np.dtype(eqn.params['new_dtype'])
  if now == np.bool_ and was != np.bool_:
    return each(lambda g, a: g.logic('not', g.compare('eq', a, g.zero)))(
      graph, eqn, x
    )
  if was == np.bool_:
    return _as_number(graph, eqn, x)
  if np.issubdtype(now, np.integer) and not _is_integer(eqn.invars[0]):
    return each(functions.truncate)(graph, eqn, x)
  return x


def _round(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  """To the nearest integer; ties to even, or away from 0."""
  to_even = 'EVEN' in eqn.params['rounding_method'].name
  away = FUNCTIONS['round_away']
  rule = functions.round_to_even if to_even else away
  return each(rule)(graph, eqn, x)


def _precision(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  if eqn.params['exponent_bits'] < 8 or eqn.params['mantissa_bits'] < 23:
    raise UnreadableBias(NARROW)
  return x


def _is_bool(var: Var | Literal):
  return dtype(var) == np.bool_


def _compare(op: str, swap: bool = False, negate: bool = False):
  def one(g: Graph, x: Node, y: Node):
    out = g.compare(op, y, x) if swap else g.compare(op, x, y)
    return g.logic('not', out) if negate else out

  def truth(g: Graph, x: Node, y: Node):
    both = g.logic('and', x, y)
    none = g.logic('not', g.logic('or', x, y))
    same = g.logic('or', both, none)
    return g.logic('not', same) if negate else same

  def rule(graph: Graph, eqn: JaxprEqn, x: np.ndarray, y: np.ndarray):
    if not _is_bool(eqn.invars[0]):
      return each(one)(graph, eqn, x, y)
    if op != 'eq':
      raise ValueError('theory does not order truth values')
    return each(truth)(graph, eqn, x, y)

  return rule


def _logic(op: str):
  def rule(graph: Graph, eqn: JaxprEqn, *args: np.ndarray):
    if not _is_bool(eqn.invars[0]):
      return _bits(graph, eqn, op, *args)
    return each(lambda g, *x: g.logic(op, *x))(graph, eqn, *args)

  return rule


def _bits(graph: Graph, eqn: JaxprEqn, op: str, *args: np.ndarray):
  """x & (2^k - 1) of an integer is its remainder."""
  for x, y in (args, args[::-1]) if op == 'and' else ():
    masks = {int(m.data) for m in y.flat if m.op == 'const'}
    if len(masks) == 1 and all(m.op == 'const' for m in y.flat):
      n = masks.pop() + 1
      if n > 0 and n & (n - 1) == 0:
        return each(
          lambda g, a, _, n=n: g.sub(
            a, g.mul(g.const(n), functions.floor_over(g, a, n))
          )
        )(graph, eqn, x, y)
  raise ValueError(f'theory reads bitwise {op!r} only with a mask 2^k - 1')


def _shift(graph: Graph, eqn: JaxprEqn, x: np.ndarray, by: np.ndarray):
  if any(b.op != 'const' for b in by.flat):
    raise ValueError('theory reads shifts by a constant only')
  return each(lambda g, a, b: functions.floor_over(g, a, 2 ** int(b.data)))(
    graph, eqn, x, by
  )


def _argmax(better: str):
  """The first of the entries along an axis that no other one beats."""

  def combine(g: Graph, row: Sequence[Node]):
    best = functools.reduce(lambda x, y: g.pick(better, x, y), row)
    last = len(row) - 1
    index = g.const(last)
    for k, x in reversed(list(enumerate(row[:last]))):
      wins = g.compare('le', *((best, x) if better == 'max' else (x, best)))
      index = g.select(wins, g.const(k), index)
    return index

  def rule(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
    x = _as_number(graph, eqn, x) if _is_bool(eqn.invars[0]) else x
    return shape_primitives.reduce(combine)(graph, eqn, x)

  return rule


def _integer_pow(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  y = graph.const(eqn.params['y'])
  return each(lambda g, a: g.pow(a, y))(graph, eqn, x)


def _select(graph: Graph, eqn: JaxprEqn, which: np.ndarray, *cases: np.ndarray):
  if _is_bool(eqn.invars[0]):
    return each(Graph.select)(graph, eqn, which, *cases[::-1])
  return each(lambda g, i, *x: g.table(i, x))(graph, eqn, which, *cases)


def _clamp(g: Graph, low: Node, x: Node, high: Node) -> Node:
  return g.pick('min', g.pick('max', x, low), high)


SAME = (
  'neg max min square sqrt rsqrt cbrt exp2 expm1 log1p erfc tan tanh sinh cosh '
  'asinh acosh atanh ceil'
)
NAMES = {name: name for name in (*functions.UNARY, *SAME.split())} | dict(
  add='+', add_any='+', sub='-', mul='*', pow='^', logistic='sigmoid'
)
MOVED = (
  'broadcast_in_dim reshape squeeze expand_dims transpose concatenate tile '
  'stack slice split rev copy stop_gradient name'
)
FOLDS = {'sum': '+', 'prod': '*', 'max': 'max', 'min': 'min'}
RULES: dict[str, Callable] = {
  **{
    f'reduce_{name}': shape_primitives.reduce(shape_primitives.fold(f))
    for name, f in FOLDS.items()
  },
  **{
    f'cum{name}': shape_primitives.running(FUNCTIONS[f])
    for name, f in FOLDS.items()
  },
  **{name: each(FUNCTIONS[f]) for name, f in NAMES.items()},
  **dict.fromkeys(MOVED.split(), shape_primitives.moved),
  'div': _divide,
  'rem': each(functions.remainder),
  'integer_pow': _integer_pow,
  'round': _round,
  'clamp': each(_clamp),
  'lt': _compare('lt'),
  'le': _compare('le'),
  'gt': _compare('lt', swap=True),
  'ge': _compare('le', swap=True),
  'lt_to': _compare('lt'),
  'le_to': _compare('le'),
  'eq': _compare('eq'),
  'ne': _compare('eq', negate=True),
  'and': _logic('and'),
  'or': _logic('or'),
  'not': _logic('not'),
  'shift_right_arithmetic': _shift,
  'shift_right_logical': _shift,
  'argmax': _argmax('max'),
  'argmin': _argmax('min'),
  'is_finite': each(lambda g, x: g.const(x.op != 'inf')),
  'select_n': _select,
  'convert_element_type': _convert,
  'gather': shape_primitives.gather,
  'dot_general': shape_primitives.dot,
  'reduce_or': shape_primitives.reduce(lambda g, x: g.logic('or', *x)),
  'reduce_and': shape_primitives.reduce(lambda g, x: g.logic('and', *x)),
  'optimization_barrier': lambda g, e, *x: list(x),
  'reduce_precision': _precision,
}
