"""What the shape primitives of jax mean for arrays of exact expressions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

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
    out = np.empty(flat.shape[:-1], object)
    for i in np.ndindex(out.shape):
      out[i] = combine(graph, list(flat[i]))
    return out

  return rule


def running(combine: Callable[..., Node]):
  """cumsum and its kin, along one axis."""

  def rule(graph: Graph, eqn: JaxprEqn, x: np.ndarray):
    axis, out = eqn.params['axis'], x.copy()
    rows = np.moveaxis(out, axis, 0)  # a view
    if eqn.params['reverse']:
      rows = rows[::-1]
    for k in range(1, len(rows)):
      for i in np.ndindex(rows.shape[1:]):
        rows[(k, *i)] = combine(graph, rows[(k - 1, *i)], rows[(k, *i)])
    return out

  return rule


def fold(op: Callable[..., Node]):
  """An operation of two nodes applied to a list from the left."""

  def combine(g: Graph, items: list[Node]):
    out = items[0]
    for x in items[1:]:
      out = op(g, out, x)
    return out

  return combine


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
  out = np.empty((a.shape[0], a.shape[1], b.shape[1]), object)
  for i in np.ndindex(out.shape):
    pairs = zip(a[i[0], i[1]], b[i[0], i[2]], strict=True)
    out[i] = graph.total([(1, graph.mul(u, v)) for u, v in pairs])
  return out.reshape(_shape(eqn))


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
