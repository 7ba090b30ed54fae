"""One tile of what terms.py adds to the logits: values, mask, cotangents.

A tile pairs block i of queries with block j of keys. Arrays by token broadcast
over it, so that the code is the same with queries as rows and as columns.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array

from extrapolation.attention import kernel
from extrapolation.attention.online import at
from extrapolation.attention.terms import difference
from extrapolation.parts.score import Score


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """What is known before any array is: static, and compared by value.

  Attributes:
    windows: keys that each head sees; None for all.
    block: tokens along a side of a tile.
    last: diagonals of tiles.
    bias: the function of distance; None for a table, which has the future and
      what lies beyond a window at -inf.
    at_once: whether bias `broadcasts` (kernel.py).
    score: what makes logits of q.k and bias (scored.py); None for their sum.
  """

  windows: tuple[int, ...] | None
  block: int
  last: int
  bias: Callable | None = None
  at_once: bool = False
  score: Score | None = None

  def of(self, bias: Callable, at_once: bool) -> 'Plan':
    """The same with a kernel in place of a table."""
    return dataclasses.replace(self, bias=bias, at_once=at_once)

  def with_score(self, score: Score) -> 'Plan':
    """The same with logits that a score makes."""
    return dataclasses.replace(self, score=score)


class Pair:
  """A block of queries and one of keys.

  Args:
    shared: params of a kernel.
    fixed: clock_window, one number per head, or None.
    tokens: arrays by query and by key, [N, h, block].
    blocks: which block of queries, and which of keys.
    causal: whether some keys are later than some queries.
    keys: axis of the tile along which keys lie, -1 or -2; queries take the
      other.
  """

  def __init__(
    self,
    plan: Plan,
    shared: dict,
    fixed: dict,
    tokens: tuple[dict[str, Array], dict[str, Array]],
    blocks: tuple[ArrayLike, ArrayLike],
    causal: bool,
    keys: int,
  ):
    self.plan, self.params = plan, shared.get('params')
    self.clock_window, self.causal = fixed['clock_window'], causal
    self.keys, self.queries = keys, -3 - keys
    # An axis of length 1 stands where the other side of the tile is.
    sides = zip(tokens, blocks, (self.keys, self.queries), strict=True)
    self.query, self.key = (
      {n: jnp.expand_dims(at(x, i), axis) for n, x in side.items()}
      for side, i, axis in sides
    )

  def distance(self) -> Array:
    """p_i - p_j [h, ., .]; 0 where it is negative, which is never seen."""
    t = difference(self.query, self.key)
    return jnp.where(t > 0, t, 0)

  def bias(self, H: int) -> Array:
    """The kernel at the tile's distances, [H, ., .]."""
    return kernel.at(
      self.plan.bias, self.params, self.distance(), H, self.plan.at_once
    )

  def logits(self, z: Array, b: Array) -> Array:
    """z + heat b; -inf where the key is not seen."""
    s = z + (self.query['heat'] * b if 'heat' in self.query else b)
    for seen in self._seen():
      s = jnp.where(seen, s, -jnp.inf)
    return s

  def _seen(self) -> list[Array]:
    seen, plan = [], self.plan
    if 'documents' in self.query:
      seen.append(self.query['documents'] == self.key['documents'])
    if self.clock_window is not None:
      far = self.clock_window.reshape(-1, 1, 1)
      seen.append(difference(self.query, self.key) <= far)
    if plan.bias is None and plan.score is None:
      return seen
    between = self.query['index'] - self.key['index']
    if self.causal:
      seen.append(between >= 0)
    if plan.windows is not None:
      seen.append(between < jnp.asarray(plan.windows).reshape(-1, 1, 1))
    return seen

  def if_seen(self, f: Callable[[], Any], otherwise: Any) -> Any:
    """f() where some key of the tile may be seen."""
    may = []
    if 'documents' in self.query:
      a, b = self.query['documents'], self.key['documents']
      may.append((a.min() <= b.max()) & (b.min() <= a.max()))
    if self.clock_window is not None:
      least = difference(self._first(self.query), self._last(self.key))
      may.append(jnp.any(least.ravel() <= self.clock_window))
    if not may:
      return f()
    return lax.cond(jnp.stack(may).all(), f, lambda: otherwise)

  def _first(self, side: dict) -> dict:
    return {n: x.min((-2, -1), keepdims=True) for n, x in side.items()}

  def _last(self, side: dict) -> dict:
    return {n: x.max((-2, -1), keepdims=True) for n, x in side.items()}

  def pull(self, ds: Array, b: Array, sums: tuple) -> tuple:
    """Cotangents by query and by key, and sums with what this tile adds.

    Args:
      ds: cotangent of the logits.
      b: the tile of bias.
      sums: cotangents of params, and of the tile of a table, so far.
    """
    by_query, by_key, (dparams, dtile) = {}, {}, sums
    db = ds
    if 'heat' in self.query:
      known = jnp.where(b == -jnp.inf, 0, b)
      by_query['heat'] = self._sum(ds * known, self.query['heat'], self.keys)
      db = ds * self.query['heat']
    if self.plan.bias is None:
      return (by_query, by_key), (dparams, dtile + db)
    t = difference(self.query, self.key)
    dt, more = kernel.pull(
      self.plan.bias, self.params, jnp.where(t > 0, t, 0), db,
      self.plan.at_once,
    )  # fmt: skip
    dt = jnp.where(t > 0, dt, 0)
    by_query['part'] = self._sum(dt, self.query['part'], self.keys)
    by_key['part'] = -self._sum(dt, self.key['part'], self.queries)
    return (by_query, by_key), (jax.tree.map(jnp.add, dparams, more), dtile)

  def nothing(self, sums: tuple, dtype: DTypeLike) -> tuple:
    """What `pull` gives of a tile that is not seen."""
    zero = lambda n: jnp.zeros_like(self.query[n].squeeze(self.keys), dtype)  # noqa: E731
    by_query = {n: zero(n) for n in ('heat', 'part') if n in self.query}
    by_key = {n: x for n, x in by_query.items() if n == 'part'}
    return (by_query, by_key), sums

  def _sum(self, x: Array, other: Array, axis: int) -> Array:
    """Over one axis, and over heads where `other` is one for all of them.

    As a product, 10 x as fast as XLA's sum on a CPU.
    """
    if len(other) == 1:
      x = x.sum(0, keepdims=True)
    spec = 'hrs,s->hr' if axis == -1 else 'hrs,r->hs'
    ones = jnp.ones(x.shape[axis], x.dtype)
    return jnp.einsum(spec, x, ones, precision='highest')
