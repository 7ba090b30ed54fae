"""A traced bias read as exact scalar expressions, one a head.

`read` traces any function of distance written in jnp and walks its jaxpr with
arrays of nodes (expression.py) in place of numbers. A length-dependent bias or
one that mixes distances is refused: it is not a function of distance.
"""

import inspect
from collections.abc import Callable, Mapping
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from extrapolation.theory import primitives
from extrapolation.theory.expression import Graph, Node, rebuild

Value = float | int | Fraction


class Unsupported(ValueError):
  """A bias that theory cannot read."""


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
    One node a head; one for a `[d]` function.

  Raises:
    Unsupported: a primitive without a reading (named), or a bias that is not a
      function of the distance alone.
  """
  graph = graph or Graph()
  heads = []
  for d in (2, 3):
    # Each position gets its own distance: what mixes them is then seen.
    distance = np.array(
      [graph.t, *(graph.leaf('t', i) for i in range(1, d))], object
    )
    out = _walk(bias, distance, params or {}, graph)
    if out.ndim not in (1, 2) or out.shape[-1] != d:
      raise Unsupported(
        f'bias of {d} distances has shape {out.shape}; [{d}] or [H, {d}] '
        'is needed: one value a distance'
      )
    rows = out.reshape(-1, d)
    for i in range(1, d):
      back = {distance[i]: graph.t}
      for first, other in zip(rows[:, 0], rows[:, i], strict=True):
        if first is not rebuild(graph, other, back):
          raise Unsupported(
            'the bias at a distance depends on other distances or on their '
            'order; theory reads elementwise functions of distance'
          )
    heads.append(list(rows[:, 0]))
  if any(a is not b for a, b in zip(*heads, strict=True)):
    raise Unsupported(
      'the bias depends on how many distances it is given; theory reads '
      'functions of distance alone'
    )
  return heads[0]


def _walk(bias, distance, params, graph):
  leaves, tree = jax.tree.flatten(params, is_leaf=lambda x: not isinstance(x, dict))
  arrays = [_nodes(x, graph) for x in leaves]
  shapes = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in arrays]
  spec = jax.ShapeDtypeStruct(distance.shape, jnp.int32)

  def call(t, *leaves):
    if _takes_params(bias):
      return bias(t, jax.tree.unflatten(tree, leaves))
    return bias(t)

  closed = jax.make_jaxpr(call)(spec, *shapes)
  if len(closed.jaxpr.outvars) != 1:
    raise Unsupported('a bias returns one array')
  (out,) = evaluate(closed, [distance, *arrays], graph)
  return out


def _takes_params(bias):
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


def _nodes(x, graph):
  """An array of nodes for numbers or names."""
  x = np.asarray(x, object) if not hasattr(x, 'dtype') else np.asarray(x)
  out = np.empty(x.shape, object)
  for i in np.ndindex(x.shape):
    v = x[i]
    if isinstance(v, str):
      out[i] = graph.leaf('param', v)
    elif isinstance(v, Fraction | bool | int):
      out[i] = graph.const(v)
    elif isinstance(v, np.bool_):
      out[i] = graph.const(bool(v))
    elif isinstance(v, np.integer):
      out[i] = graph.const(int(v))
    else:
      out[i] = graph.const(float(v))
  return out


def evaluate(closed, inputs, graph):
  """Walks a closed jaxpr over arrays of nodes."""
  values = {}

  def get(v):
    if isinstance(v, core.Literal):
      return _nodes(np.asarray(v.val), graph)
    return values[v]

  jaxpr = closed.jaxpr
  for var, const in zip(jaxpr.constvars, closed.consts, strict=True):
    values[var] = _nodes(np.asarray(const), graph)
  values.update(zip(jaxpr.invars, inputs, strict=True))
  for eqn in jaxpr.eqns:
    args = [get(v) for v in eqn.invars]
    inner = _inner(eqn)
    if inner is not None:
      out = evaluate(inner, args[len(args) - len(inner.jaxpr.invars) :], graph)
    else:
      rule = primitives.RULES.get(eqn.primitive.name)
      if rule is None:
        raise Unsupported(
          f'theory cannot read the primitive {eqn.primitive.name!r}; it reads '
          + ', '.join(sorted(primitives.RULES))
        )
      out = rule(graph, eqn, *args)
      out = out if eqn.primitive.multiple_results else [out]
    for var, value in zip(eqn.outvars, out, strict=True):
      values[var] = value
  return [get(v) for v in jaxpr.outvars]


def _inner(eqn):
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
