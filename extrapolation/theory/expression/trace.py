"""A traced bias read as exact scalar expressions, one per head.

`read` traces any function of distance written in jnp and walks its jaxpr with
arrays of nodes in place of numbers. A bias that looks at lengths or places or
mixes distances is refused: it is not a function of distance.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, Var

from extrapolation.theory.errors import UnreadableBias
from extrapolation.theory.expression import integers, lengths, primitives
from extrapolation.theory.expression.graph import Graph, Node, rebuild

LONGEST_LOOP = 64  # steps


def read(
  bias: Callable, params: Mapping | None = None, graph: Graph | None = None
) -> list[Node]:
  """The log weight of every head as an exact expression of the distance.

  Args:
    bias: `distance [d] -> [d] or [H, d]`, or the same with `params` as second
      argument; elementwise in distance, written in jnp.
    params: nested dict of numbers, arrays, names (strings: a positive
      parameter; '~name': a real one) or `Fraction`s; all are read exactly.
    graph: where the nodes live; a new one if absent.

  Returns:
    One node per head; one for a `[d]` function.

  Raises:
    UnreadableBias: a primitive without a reading (named), or a bias that is not
      a function of the distance alone.
  """
  graph = graph or Graph()
  call, leaves = _call(bias, params or {}, graph)
  # Each position gets its own distance: what mixes them is then seen.
  distance = np.array([graph.t, graph.leaf('t', 1), graph.leaf('t', 2)], object)
  d = len(distance)
  closed = lengths.trace(call, d, _specs(leaves))
  if len(closed.jaxpr.outvars) != 1:
    raise UnreadableBias('a bias returns one array')
  (out,) = evaluate(closed, [distance, *leaves], graph)
  if out.ndim not in (1, 2) or out.shape[-1] != d:
    raise UnreadableBias(
      f'bias of {d} distances has shape {out.shape}; [{d}] or [H, {d}] '
      'is needed: one value per distance'
    )
  first, *others = out.reshape(-1, d).T
  for row, other in zip(others, distance[1:], strict=True):
    back = {other: graph.t}
    if any(
      a is not rebuild(graph, b, back) for a, b in zip(first, row, strict=True)
    ):
      raise UnreadableBias(
        'the bias at a distance depends on other distances or on their '
        'order; theory reads elementwise functions of distance'
      )
  lengths.check(call, _specs(leaves))
  return list(first)


def _call(
  bias: Callable, params: Mapping, graph: Graph
) -> tuple[Callable, list[np.ndarray]]:
  """`bias` as a function of distance and the leaves of its parameters."""
  leaves, tree = jax.tree.flatten(
    params, is_leaf=lambda x: not isinstance(x, dict)
  )

  def call(t: Any, *leaves: Any):
    if _takes_params(bias):
      return bias(t, jax.tree.unflatten(tree, leaves))
    return bias(t)

  return call, [_nodes(x, graph) for x in leaves]


def _specs(leaves: Sequence[np.ndarray]) -> list[jax.ShapeDtypeStruct]:
  return [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in leaves]


def _takes_params(bias: Callable) -> bool:
  try:
    signature = inspect.signature(bias)
  except (TypeError, ValueError):
    return False
  kinds = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
  )
  needed = [
    p
    for p in signature.parameters.values()
    if p.kind in kinds and p.default is p.empty
  ]
  return len(needed) >= 2


def _nodes(x: Any, graph: Graph) -> np.ndarray:
  """An array of nodes for numbers or names."""

  def one(v: Any) -> Node:
    if isinstance(v, str):
      return graph.leaf('param', v)
    return graph.const(v if isinstance(v, Fraction | bool | int) else float(v))

  x = np.asarray(x) if hasattr(x, 'dtype') else np.asarray(x, object)
  with np.errstate(invalid='ignore'):  # NaN is compared
    return np.asarray(np.frompyfunc(one, 1, 1)(x.astype(object)), object)


def evaluate(
  closed: ClosedJaxpr, inputs: Sequence[Any], graph: Graph
) -> list[np.ndarray]:
  """Walks a closed jaxpr over arrays of nodes, or single ones."""
  values = {}

  def get(v: Var | Literal) -> np.ndarray:
    if isinstance(v, core.Literal):
      with np.errstate(over='ignore'):  # what the program computes with
        return _nodes(np.asarray(v.val).astype(primitives.dtype(v)), graph)
    return values[v]

  jaxpr = closed.jaxpr
  for var, const in zip(jaxpr.constvars, closed.consts, strict=True):
    values[var] = _nodes(np.asarray(const), graph)
  values.update(zip(jaxpr.invars, inputs, strict=True))
  for eqn in jaxpr.eqns:
    args = [get(v) for v in eqn.invars]
    out = _apply(eqn, args, graph)
    for var, value in zip(eqn.outvars, out, strict=True):
      kind = primitives.dtype(var)
      if np.issubdtype(kind, np.integer):
        integers.check(value, kind, graph.ranges)
      values[var] = value
  return [get(v) for v in jaxpr.outvars]


def _apply(
  eqn: JaxprEqn, args: Sequence[np.ndarray], graph: Graph
) -> list[np.ndarray]:
  """The outputs of one equation."""
  name, inner = eqn.primitive.name, _inner(eqn)
  if inner is not None:
    return evaluate(inner, args[len(args) - len(inner.jaxpr.invars) :], graph)
  if name == 'scan':
    return _scan(eqn, args, graph)
  if name == 'cond':
    return _cond(eqn, args, graph)
  rule: Callable | None = primitives.RULES.get(name)
  known = all(node.op == 'const' for a in args for node in a.flat)
  narrow = any(map(primitives.narrow, eqn.outvars))
  rounded = graph.rounds and getattr(rule, 'elementwise', False)
  if known and (narrow or rule is None or (rounded and _held(eqn, args))):
    return _computed(eqn, args, graph)
  if narrow:
    raise UnreadableBias(primitives.NARROW)
  if rule is not None:
    out = rule(graph, eqn, *args)
    return out if eqn.primitive.multiple_results else [out]
  raise UnreadableBias(
    f'theory cannot read the primitive {name!r} of a distance; it reads '
    + ', '.join(sorted({*primitives.RULES, 'cond', 'scan'}))
  )


def _held(eqn: JaxprEqn, args: Sequence[np.ndarray]) -> bool:
  """Whether the numbers are those of the program; 1.1 of a user is exact."""
  types = (primitives.dtype(v).type for v in eqn.invars)
  with np.errstate(over='ignore'):
    return all(
      float(kind(float(node.data))) == node.data
      for kind, a in zip(types, args, strict=True)
      for node in a.flat
    )


def _computed(
  eqn: JaxprEqn, args: Sequence[np.ndarray], graph: Graph
) -> list[np.ndarray]:
  """What depends on no distance and has no rule is what jax makes of it."""
  arrays = [
    jnp.asarray(
      np.vectorize(lambda node: float(node.data), otypes=[float])(a),
      primitives.dtype(v),
    )
    for a, v in zip(args, eqn.invars, strict=True)
  ]
  with jax.ensure_compile_time_eval():
    out = eqn.primitive.bind(*arrays, **eqn.params)
  out = out if eqn.primitive.multiple_results else [out]
  try:
    return [_nodes(np.asarray(x), graph) for x in out]
  except TypeError as e:  # keys of random numbers
    raise UnreadableBias(
      f'theory cannot read the primitive {eqn.primitive.name!r}; compute the '
      'constants of a bias outside of it'
    ) from e


def _scan(
  eqn: JaxprEqn, args: Sequence[np.ndarray], graph: Graph
) -> list[np.ndarray]:
  """A loop of known length, written out."""
  p = eqn.params
  if p['length'] > LONGEST_LOOP:
    raise UnreadableBias(
      f'a loop of {p["length"]} steps; theory writes out {LONGEST_LOOP}'
    )
  n, m = p['num_consts'], p['num_carry']
  consts, carry, xs = args[:n], args[n : n + m], args[n + m :]
  steps = range(p['length'])
  ys = []
  for i in reversed(steps) if p['reverse'] else steps:
    out = evaluate(
      p['jaxpr'], [*consts, *carry, *(np.asarray(x[i]) for x in xs)], graph
    )
    carry = out[:m]
    ys.append(out[m:])
  if p['reverse']:
    ys.reverse()
  return [*carry, *map(np.stack, zip(*ys, strict=True))]


def _cond(
  eqn: JaxprEqn, args: Sequence[np.ndarray], graph: Graph
) -> list[np.ndarray]:
  """All branches, and the one that the index picks."""
  which, *rest = args
  (which,) = which.flat
  outs = [evaluate(b, rest, graph) for b in eqn.params['branches']]
  if primitives.dtype(eqn.invars[0]) == np.bool_:
    which = graph.select(which, graph.one, graph.zero)
  pick = primitives.each(lambda g, *x: g.table(which, x))
  return [pick(graph, None, *cases) for cases in zip(*outs, strict=True)]


def _inner(eqn: JaxprEqn) -> ClosedJaxpr | None:
  """The jaxpr of a call (jit, custom_jvp, ...), which is read as its body."""
  if eqn.primitive.name not in primitives.CALLS:
    return None
  for key in ('jaxpr', 'call_jaxpr', 'fun_jaxpr'):
    if key in eqn.params:
      inner = eqn.params[key]
      if isinstance(inner, core.Jaxpr):
        inner = core.ClosedJaxpr(inner, ())
      return inner
  return None
