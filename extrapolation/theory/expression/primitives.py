"""What each jax primitive means for arrays of exact expressions."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal, Var

from extrapolation.theory.errors import UnreadableBias
from extrapolation.theory.expression import scalar_functions as scalar
from extrapolation.theory.expression import shape_primitives
from extrapolation.theory.expression.graph import Graph, Node

# Primitives that only call another jaxpr.
CALLS = {
  'jit', 'pjit', 'closed_call', 'core_call', 'custom_jvp_call',
  'custom_vjp_call', 'custom_vjp_call_jaxpr', 'remat', 'checkpoint',
  'remat2',
}  # fmt: skip


def _each(f: Callable[..., Node]):
  """Lifts a scalar rule (graph, *nodes) to arrays of nodes."""

  def rule(graph: Graph, eqn: JaxprEqn, *args: np.ndarray):
    del eqn
    args = np.broadcast_arrays(*args)
    out = np.empty(args[0].shape, object)
    for i in np.ndindex(out.shape):
      out[i] = f(graph, *(a[i] for a in args))
    return out

  rule.elementwise = True
  return rule


UNARY = (
  'exp',
  'log',
  'sin',
  'cos',
  'atan',
  'erf',
  'lgamma',
  'abs',
  'sign',
  'floor',
)


def _unary(op: str):
  return _each(lambda g, x: g.unary(op, x))


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
    return scalar.truncate(g, q) if whole else q

  return _each(one)(graph, eqn, x, y)


def _convert(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  """float -> int truncates; wider floats are the same real numbers."""
  was, now = dtype(eqn.invars[0]), np.dtype(eqn.params['new_dtype'])
  if now == np.bool_ and was != np.bool_:
    return _each(lambda g, a: g.logic('not', g.compare('eq', a, g.zero)))(
      graph, eqn, x
    )
  if was == np.bool_:
    return _each(lambda g, a: g.select(a, g.one, g.zero))(graph, eqn, x)
  if np.issubdtype(now, np.integer) and not _is_integer(eqn.invars[0]):
    return _each(scalar.truncate)(graph, eqn, x)
  return x


def _round(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  """To the nearest integer; ties to even, or away from 0."""
  to_even = 'EVEN' in eqn.params['rounding_method'].name
  rule = scalar.round_to_even if to_even else scalar.round_away
  return _each(rule)(graph, eqn, x)


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
      return _each(one)(graph, eqn, x, y)
    if op != 'eq':
      raise ValueError('theory does not order truth values')
    return _each(truth)(graph, eqn, x, y)

  return rule


def _logic(op: str):
  def rule(graph: Graph, eqn: JaxprEqn, *args: np.ndarray):
    if not _is_bool(eqn.invars[0]):
      return _bits(graph, eqn, op, *args)
    return _each(lambda g, *x: g.logic(op, *x))(graph, eqn, *args)

  return rule


def _bits(graph: Graph, eqn: JaxprEqn, op: str, *args: np.ndarray):
  """x & (2^k - 1) of an integer is its remainder."""
  for x, y in (args, args[::-1]) if op == 'and' else ():
    masks = {int(m.data) for m in y.flat if m.op == 'const'}
    if len(masks) == 1 and all(m.op == 'const' for m in y.flat):
      n = masks.pop() + 1
      if n > 0 and n & (n - 1) == 0:
        return _each(
          lambda g, a, _, n=n: g.sub(
            a, g.mul(g.const(n), scalar.floor_over(g, a, n))
          )
        )(graph, eqn, x, y)
  raise ValueError(f'theory reads bitwise {op!r} only with a mask 2^k - 1')


def _shift(graph: Graph, eqn: JaxprEqn, x: np.ndarray, by: np.ndarray):
  if any(b.op != 'const' for b in by.flat):
    raise ValueError('theory reads shifts by a constant only')
  return _each(lambda g, a, b: scalar.floor_over(g, a, 2 ** int(b.data)))(
    graph, eqn, x, by
  )


def _argmax(op: str):
  def rule(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
    (axis,) = eqn.params['axes']
    rows = np.moveaxis(x, axis, -1)
    boolean = _is_bool(eqn.invars[0])
    out = np.empty(rows.shape[:-1], object)
    for i in np.ndindex(out.shape):
      best, index = rows[i][0], graph.zero
      for k, a in enumerate(rows[i][1:], 1):
        lo, hi = (best, a) if op == 'max' else (a, best)
        if boolean:
          better = graph.logic('and', graph.logic('not', lo), hi)
        else:
          better = graph.compare('lt', lo, hi)
        best = graph.select(better, a, best)
        index = graph.select(better, graph.const(k), index)
      out[i] = index
    return out

  return rule


def _integer_pow(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
  y = graph.const(eqn.params['y'])
  return _each(lambda g, a: g.pow(a, y))(graph, eqn, x)


def _select(graph: Graph, eqn: JaxprEqn, which: np.ndarray, *cases: np.ndarray):
  which, *arrays = np.broadcast_arrays(which, *cases)
  out = np.empty(which.shape, object)
  boolean = _is_bool(eqn.invars[0])
  for i in np.ndindex(out.shape):
    options = [x[i] for x in arrays]
    if boolean:
      out[i] = graph.select(which[i], options[1], options[0])
    else:
      out[i] = graph.table(which[i], options)
  return out


def _clamp(
  graph: Graph, eqn: JaxprEqn, low: np.ndarray, x: np.ndarray, high: np.ndarray
):
  return _each(lambda g, a, v, b: g.pick('min', g.pick('max', v, a), b))(
    graph, eqn, low, x, high
  )


RULES: dict[str, Callable] = {
  **{
    op: _each(getattr(Graph, op)) for op in ('add', 'sub', 'mul', 'neg', 'pow')
  },
  **{op: _unary(op) for op in UNARY},
  'add_any': _each(Graph.add),
  'div': _divide,
  'rem': _each(scalar.remainder),
  'integer_pow': _integer_pow,
  'square': _each(lambda g, x: g.pow(x, g.const(2))),
  'sqrt': _each(scalar.root),
  'rsqrt': _each(lambda g, x: scalar.root(g, x, Fraction(-1, 2))),
  'cbrt': _each(scalar.cbrt),
  'exp2': _each(lambda g, x: g.pow(g.const(2), x)),
  'expm1': _each(lambda g, x: g.sub(scalar.exp(g, x), g.one)),
  'log1p': _each(lambda g, x: scalar.log(g, g.add(x, g.one))),
  'logistic': _each(
    lambda g, x: g.div(g.one, g.add(g.one, scalar.exp(g, g.neg(x))))
  ),
  'tanh': _each(scalar.tanh),
  'sinh': _each(scalar.hyperbolic(-1)),
  'cosh': _each(scalar.hyperbolic(1)),
  'asinh': _each(scalar.inverse_hyperbolic(1)),
  'acosh': _each(scalar.inverse_hyperbolic(-1)),
  'atanh': _each(scalar.atanh),
  'tan': _each(lambda g, x: g.div(g.unary('sin', x), g.unary('cos', x))),
  'erfc': _each(lambda g, x: g.sub(g.one, g.unary('erf', x))),
  'ceil': _each(scalar.ceil),
  'round': _round,
  'max': _each(scalar.maximum),
  'min': _each(scalar.minimum),
  'clamp': _clamp,
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
  'is_finite': _each(lambda g, x: g.const(x.op != 'inf')),
  'select_n': _select,
  'convert_element_type': _convert,
  'gather': shape_primitives.gather,
  'dot_general': shape_primitives.dot,
  'reduce_sum': shape_primitives.reduce(
    lambda g, x: g.total([(1, a) for a in x])
  ),
  'reduce_max': shape_primitives.reduce(shape_primitives.fold(scalar.maximum)),
  'reduce_min': shape_primitives.reduce(shape_primitives.fold(scalar.minimum)),
  'reduce_or': shape_primitives.reduce(lambda g, x: g.logic('or', *x)),
  'reduce_and': shape_primitives.reduce(lambda g, x: g.logic('and', *x)),
  'reduce_prod': shape_primitives.reduce(shape_primitives.fold(Graph.mul)),
  'cumsum': shape_primitives.running(Graph.add),
  'cumprod': shape_primitives.running(Graph.mul),
  'cummax': shape_primitives.running(scalar.maximum),
  'cummin': shape_primitives.running(scalar.minimum),
  'optimization_barrier': lambda g, e, *x: list(x),
  'reduce_precision': _precision,
}
for _name in ('broadcast_in_dim', 'reshape', 'squeeze', 'expand_dims',
              'transpose', 'concatenate', 'tile', 'stack', 'slice', 'split',
              'rev', 'copy', 'stop_gradient', 'name'):  # fmt: skip
  RULES[_name] = shape_primitives.moved
