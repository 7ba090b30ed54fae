"""Operands of tiles: blocks of tokens, and what is known before there are any.

What has a value per token is cut into blocks of queries and of keys; a bias is
a table, which gives tiles by their diagonal, or parameters of a kernel.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import kernel, tiles
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.pair import Plan
from extrapolation.attention.terms import Terms


def prepared(
  q: Array,
  k: Array,
  by_query: dict[str, Array],
  by_key: dict[str, Array],
  t: Terms,
  windows: tuple[int, ...],
  start: ArrayLike,
  sizes: tuple[int, int] | None = None,
) -> tuple[Plan, tuple[dict, dict], dict, dict]:
  """The plan, what has a value per token, what is shared, what is fixed.

  Args:
    sizes: of a block at most, of queries that see few and many keys.
    others: as of `clocked.attend`.
  """
  (B, T, H), S = q.shape[:3], k.shape[1]
  block = tiles.block_size(B, H, S, max(windows))
  if sizes is not None:
    block = min(block, sizes[max(windows) >= tiles.WIDE])
  if S > T:
    block = max(b for b in range(1, block + 1) if T % b == 0)
  plan = Plan(
    windows=windows if min(windows) < S else None,
    block=block,
    last=min(-(-S // block), (max(windows) + block - 2) // block + 1),
  )
  if isinstance(t.bias, Kernel):
    shared = dict(params=t.bias.params)
    at_once = kernel.broadcasts(t.bias.bias, t.bias.params, H)
    plan = plan.of(t.bias.bias, at_once)
  else:
    pad = ((0, 0), (block - 1, -S % block))
    shared = dict(u=jnp.pad(t.bias, pad, constant_values=-jnp.inf))
  by_query, by_key = dict(by_query), dict(by_key)
  fixed = dict(
    documents=[x.pop('documents', None) for x in (by_query, by_key)],
    clock_window=t.clock_window,
    first=jnp.asarray(start, jnp.int32) // block,
  )
  return plan, (by_query, by_key), shared, fixed


def table_tile(
  shared: dict, plan: Plan, d: ArrayLike, layout: Callable
) -> Array | None:
  """The tile of a table that a diagonal shares; None of a kernel."""
  if plan.bias is not None:
    return None
  return layout(tiles.around(shared['u'], d, plan.block), plan.block)


def with_documents(tokens: tuple[dict, dict], fixed: dict) -> tuple:
  """All that has a value per token: `tokens`, and the documents."""
  pairs = zip(tokens, fixed['documents'], strict=True)
  return tuple(x if d is None else x | dict(documents=d) for x, d in pairs)


def split(tree: tuple, fixed: dict, plan: Plan) -> tuple:
  """[T, h, ...] -> [N, h, block, ...], and the index of each token.

  Padding repeats the last token, so that a clock does not go back and a heat
  is positive; its index is beyond every query's.
  """

  def blocks(x: Array):
    pad = ((0, -len(x) % plan.block), *[(0, 0)] * (x.ndim - 1))
    x = jnp.pad(x, pad, mode='edge')
    return jnp.moveaxis(x.reshape(-1, plan.block, *x.shape[1:]), 2, 1)

  *rest, (by_query, by_key) = jax.tree.map(blocks, tree)
  (q, k, _) = rest[0]
  index = [
    (first * plan.block + jnp.arange(len(x) * plan.block, dtype=jnp.int32))
    for first, x in ((fixed['first'], q), (0, k))
  ]
  index = [x.reshape(-1, 1, plan.block) for x in index]
  return *rest, (by_query | dict(index=index[0]), by_key | dict(index=index[1]))


def joined(x: Array) -> Array:
  """[N, h, block, ...] -> [N block, h, ...]."""
  x = jnp.moveaxis(x, 1, 2)
  return x.reshape(-1, *x.shape[2:])
