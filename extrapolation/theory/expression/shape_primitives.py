"""What the shape primitives of jax mean for arrays of exact expressions."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

from extrapolation.theory.expression.functions import FUNCTIONS
from extrapolation.theory.expression.graph import Graph, Node


def _shape(eqn: JaxprEqn) -> tuple[int, ...]:
  """Of its first output."""
  aval: Any = eqn.outvars[0].aval
  return aval.shape


def moved(graph: Graph, eqn: JaxprEqn, *args: np.ndarray):
  """What only moves entries: jax moves their numbers in their place."""
  starts = np.cumsum([0, *(x.size for x in args)])
  places = [
    np.arange(i, i + x.size, dtype=np.int32).reshape(x.shape)
    for i, x in zip(starts, args, strict=False)
  ]
  with jax.ensure_compile_time_eval():
    out = eqn.primitive.bind(*map(jnp.asarray, places), **eqn.params)
  flat = np.concatenate([x.ravel() for x in args])
  several = eqn.primitive.multiple_results
  moved = [
    flat[np.ravel(x)].reshape(x.shape) for x in (out if several else [out])
  ]
  return moved if several else moved[0]


def reduce(combine: Callable[..., Node]):
  """Reductions over axes, of the list of nodes along them."""

  def rule(graph: Graph, eqn: JaxprEqn, x: np.ndarray, *_: np.ndarray):
    axes = tuple(eqn.params['axes'])
    keep = [a for a in range(x.ndim) if a not in axes]
    flat = x.transpose(*keep, *axes).reshape([x.shape[a] for a in keep] + [-1])
    return _along_last(functools.partial(combine, graph), flat)

  return rule


def _along_last(f: Callable, x: np.ndarray) -> np.ndarray:
  out = np.empty(x.shape[:-1], object)
  for i in np.ndindex(out.shape):
    out[i] = f(list(x[i]))
  return out


def fold(name: str) -> Callable[..., Node]:
  """A list of nodes by an operation of two."""
  if name == '+':  # at once, which does not sort every partial sum
    return lambda g, items: g.total([(1, x) for x in items])
  f = FUNCTIONS[name]
  return lambda g, items: functools.reduce(functools.partial(f, g), items)


def running(op: Callable[..., Node]):
  """cumsum and its kin, along one axis."""

  def rule(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
    lifted = np.frompyfunc(functools.partial(op, graph), 2, 1)
    axis, turn = eqn.params['axis'], eqn.params['reverse']
    rows = np.flip(x, axis) if turn else x
    out = lifted.accumulate(rows, axis, dtype=object)
    return np.flip(out, axis) if turn else out

  return rule


def dot(graph: Graph, eqn: JaxprEqn, x: np.ndarray, y: np.ndarray):
  """dot_general."""
  (cx, cy), (bx, by) = eqn.params['dimension_numbers']
  fx = [a for a in range(x.ndim) if a not in (*cx, *bx)]
  fy = [a for a in range(y.ndim) if a not in (*cy, *by)]

  def matrices(
    z: np.ndarray,
    batch: Sequence[int],
    free: Sequence[int],
    contract: Sequence[int],
  ):
    z = z.transpose(*batch, *free, *contract)
    b, f = len(batch), len(batch) + len(free)
    return z.reshape(math.prod(z.shape[:b]), math.prod(z.shape[b:f]), -1)

  a, b = matrices(x, bx, fx, cx), matrices(y, by, fy, cy)
  products = np.frompyfunc(graph.mul, 2, 1)(a[:, :, None], b[:, None])
  return _along_last(functools.partial(fold('+'), graph), products).reshape(
    _shape(eqn)
  )


def gather(graph: Graph, eqn: JaxprEqn, x: np.ndarray, index: np.ndarray):
  """Rows of a table: one indexed axis, whole slices of the others."""
  d, sizes = eqn.params['dimension_numbers'], eqn.params['slice_sizes']
  axes = d.start_index_map
  if (
    len(axes) != 1
    or d.collapsed_slice_dims not in ((), axes)
    or getattr(d, 'operand_batching_dims', ())
    or any(n != (1 if a in axes else x.shape[a]) for a, n in enumerate(sizes))
  ):
    raise ValueError(
      "theory reads the primitive 'gather' along one axis only: table[index]"
    )
  fill = 'FILL' in str(eqn.params['mode'])
  rows = np.moveaxis(x, axes[0], -1)
  out = np.empty(_shape(eqn), object)
  batch = [a for a in range(out.ndim) if a not in d.offset_dims]
  kept = [a for a in range(x.ndim) if a not in d.collapsed_slice_dims]
  for i in np.ndindex(out.shape):
    at = index[tuple(i[a] for a in batch)][0]
    offset = zip(kept, d.offset_dims, strict=True)
    row = rows[tuple(i[o] for a, o in offset if a not in axes)]
    value = graph.table(at, list(row))
    if fill:  # outside the table there is nothing
      low = graph.compare('lt', at, graph.zero)
      high = graph.compare('le', graph.const(len(row)), at)
      outside = graph.logic('or', low, high)
      value = graph.select(outside, graph.nan, value)
    out[i] = value
  return out
