"""Arrays by token in the order of blocks, and loops over pairs of blocks."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import boxes
from extrapolation.attention.boxes import Blocks
from extrapolation.attention.online import at
from extrapolation.attention.places_bias import Tile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """What is known before any array is: static, and compared by value.

  Attributes:
    tile: what is added to the logits.
    heads: of a tile; all of them where a bias is not given by head.
    sequences: of a tile.
  """

  tile: Tile
  heads: int
  sequences: int


def arrays(queries: Blocks, keys: Blocks) -> dict:
  """What a layout is made of."""

  def short(x: Array | np.ndarray) -> Array:
    return x if isinstance(x, jax.Array) else jnp.asarray(x, jnp.int32)

  pairs, starts = boxes.alike(queries, keys)
  fixed: dict[str, Any] = dict(pairs=short(pairs), starts=short(starts))
  for name, x in ('query', queries), ('key', keys):
    fixed[name] = {n: short(getattr(x, n)) for n in ('places', 'token', 'slot')}
  return fixed


class Layout:
  """[B, T, H, K] as [A, N, h, b, K]: A groups of heads, N blocks of b slots.

  N counts the blocks of each sequence or, with several in a tile, of each group
  of them; h then counts their heads.
  """

  def __init__(self, fixed: dict, hidden: Array | None, plan: Plan, B: int):
    self.fixed, self.plan = fixed, plan
    self.together = plan.sequences
    self.groups = B // plan.sequences
    self.unseen = None
    if hidden is not None:
      unseen = jnp.where(hidden, -jnp.inf, 0.0)[:, :, None, None]
      self.unseen = self._cut('key', unseen, -jnp.inf, heads=1)[0, ..., 0]
      hidden = self.unseen < 0
      self.kind = sum(
        f((1, 2)).astype(jnp.int32) for f in (hidden.any, hidden.all)
      )

  def queries(self, x: Array, fill: float = 0.0) -> Array:
    """Blocks of what queries have; `fill` where there is none."""
    return self._cut('query', x, fill, self.plan.heads)

  def keys(self, x: Array) -> Array:
    """Blocks of what keys have, 0 where there is none."""
    return self._cut('key', x, 0.0, self.plan.heads)

  def _cut(self, side: str, x: Array, fill: float, heads: int) -> Array:
    token = self.fixed[side]['token']
    x = jnp.take(x, token.ravel(), axis=1, mode='fill', fill_value=fill)
    split = self.groups, self.together, *token.shape, -1, heads, x.shape[-1]
    x = jnp.einsum('ugnbahk->anughbk', x.reshape(split))
    A, N, U, g, h, b, K = x.shape
    return x.reshape(A, N * U, g * h, b, K)

  def of_queries(self, x: Array) -> Array:
    """[B, T, H, K] of blocks of it."""
    return self._joined('query', x)

  def of_keys(self, x: Array) -> Array:
    """[B, S, H, K] of blocks of it."""
    return self._joined('key', x)

  def _joined(self, side: str, x: Array) -> Array:
    A, _, h, b, K = x.shape
    g, h = self.together, h // self.together
    x = jnp.einsum(
      'anughbk->ugnbahk', x.reshape(A, -1, self.groups, g, h, b, K)
    )
    x = x.reshape(self.groups * g, -1, A * h, K)
    return jnp.take(x, self.fixed[side]['slot'], axis=1)

  def bias(self, bias: Any) -> Any:
    """A table [H, n] as [A, h, n], parameters as those of one group."""
    if isinstance(bias, jax.Array):
      return bias.reshape(-1, self.plan.heads, bias.shape[-1])
    return jax.tree.map(lambda x: x[None], bias)

  def of_keys_seen(
    self, m: ArrayLike, keys: int, f: Callable, nothing: Callable
  ) -> Any:
    """f(mask) of the m-th block of keys, `nothing()` where none of it is seen.

    The mask, 0 or -inf, broadcasts over a tile with keys along the axis `keys`;
    it is None where all are seen, which is faster.
    """
    if self.unseen is None:
      return f(None)
    mask = jnp.expand_dims(at(self.unseen, m), (1, -3 - keys))
    branches = lambda: f(None), lambda: f(mask), nothing
    return lax.switch(at(self.kind, m), branches)

  def logits(self, z: Array, tile: Array, mask: Array | None) -> Array:
    """Products z [g h, ., .] of a pair with its tile [h, ., .] and mask."""
    s = z.reshape(self.together, -1, *z.shape[1:]) + tile
    return (s if mask is None else s + mask).reshape(z.shape)

  def over_groups(self, group: Callable, state: tuple) -> tuple:
    """state after all groups of pairs that have one tile.

    `group(tile, each, state)`: `tile(bias, keys)` is that of the group, keys
    along this axis; `each(pair, tile, state)` does `pair(n, m, tile, state)`
    with all blocks n of queries and m of keys of the group, or with none where
    the tile is -inf throughout.
    """
    pairs, starts = (self.fixed[n] for n in ('pairs', 'starts'))
    U = self.groups

    def one(i: ArrayLike, state: tuple) -> tuple:
      first = at(pairs, at(starts, i))
      sides = zip(('query', 'key'), first, strict=True)
      places = [at(self.fixed[side]['places'], n) for side, n in sides]

      def tile(bias: Any, keys: int) -> Array:
        # An axis of length 1 stands where the other side of the tile is.
        q, k = places
        q, k = (q[:, None], k[None]) if keys == -1 else (q[None], k[:, None])
        return self.plan.tile(bias, q, k)

      def each(pair: Callable, tile: Array, state: tuple) -> tuple:
        def of_sequences(p: ArrayLike, state: tuple) -> tuple:
          n, m = U * at(pairs, p)
          step = lambda u, state: pair(n + u, m + u, tile, state)  # noqa: E731
          return lax.fori_loop(0, U, step, state)

        seen = jnp.any(tile > -jnp.inf).astype(starts.dtype)
        start, stop = at(starts, i), at(starts, i + seen)
        return lax.fori_loop(start, stop, of_sequences, state)

      return group(tile, each, state)

    return lax.fori_loop(0, len(starts) - 1, one, state)
