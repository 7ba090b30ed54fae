"""Attention of sequences whose tokens are spread over devices.

Each device keeps its queries and meets the keys of the devices before it, one
shard at a time: passed around a ring, or all gathered first. Distances are
those of whole shards apart, so a shard needs only a slice of the table; a
window ends the journey when nothing is left to see.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from extrapolation.attention import tiles
from extrapolation.attention.precision import FLOOR
from extrapolation.parallel import axes
from extrapolation.parallel.axes import SEQUENCE

UNIT = 64  # tokens: a long shard is a multiple of it, so that tiles divide it


def padding(T: int, shards: int) -> int:
  """Tokens to add so that shards are equal, and tiles divide long ones."""
  unit = UNIT if T > 4 * UNIT * shards else 1
  return -T % (unit * shards) if shards > 1 else 0


def spread(
  f: Callable,
  batched: Any,
  shared: Any,
  batch: tuple[str, ...],
  shards: int,
) -> Any:
  """f(batched, shared) on the part of the batch, and of T, of each device.

  `batched` is a tree of arrays [B, T, ...], and so is what f returns.
  """
  sizes = jax.sharding.get_abstract_mesh().shape
  parts = 1
  for name in batch:
    parts *= sizes[name]
  batch = batch if len(jax.tree.leaves(batched)[0]) % parts == 0 else ()
  names = {*batch, *([SEQUENCE] if shards > 1 else [])}
  if not names:
    return f(batched, shared)
  # Axes of length 1 go along: outside of jit all must be taken over.
  names |= {name for name in axes.free() if sizes[name] == 1}
  x = P(batch or None, SEQUENCE if shards > 1 else None)
  g = jax.shard_map(
    f, in_specs=(x, P()), out_specs=x, axis_names=names, check_vma=False
  )
  return g(batched, shared)


def gathered(tree: Any) -> Any:
  """Arrays [B, T / shards, ...] of all devices, [B, T, ...]; in shard_map."""
  return jax.tree.map(
    lambda x: lax.all_gather(x, SEQUENCE, axis=1, tiled=True), tree
  )


def shard_index() -> Array:
  """Which part of the sequence is this device's; in shard_map."""
  return lax.axis_index(SEQUENCE)


def attend(
  q: Array,
  k: Array,
  v: Array,
  table: Array,
  windows: tuple[int, ...],
  shards: int,
  gather: bool = False,
):
  """o and lse of this device's queries, [B, T / shards, H, .]; in shard_map.

  Args:
    q, k, v: this device's tokens.
    table: [H, T] for the whole sequence, masked already.
    windows: one per head.
    shards: devices along the sequence.
    gather: hold all keys and values at once instead of passing them on.
  """
  B, T, H, _ = q.shape
  most = tiles.block_size(B, H, T, max(windows))
  block = max(b for b in range(1, most + 1) if T % b == 0)
  me = lax.axis_index(SEQUENCE)
  if gather:
    every = [lax.all_gather(x, SEQUENCE) for x in (k, v)]
  o, lse = _shard(q, table, windows, block, 0, k, v)
  for n in range(1, shards):
    if n * T - T + 1 >= max(windows):
      break
    if gather:
      k, v = (
        lax.dynamic_index_in_dim(x, me - n, keepdims=False) for x in every
      )
    else:
      ahead = [(i, (i + 1) % shards) for i in range(shards)]
      k, v = (lax.ppermute(x, SEQUENCE, ahead) for x in (k, v))
    see = functools.partial(_shard, q, table, windows, block, n)
    skip = functools.partial(_nothing, o, lse)
    # What has come full circle from behind is in the future: not computed.
    part = lax.cond(me >= n, see, skip, k, v)
    o, lse = _join((o, lse), part)
  return o, lse


def _shard(
  q: Array,
  table: Array,
  windows: tuple[int, ...],
  block: int,
  n: int,
  k: Array,
  v: Array,
):
  """o and lse over the keys of the device n places before."""
  T = q.shape[1]
  if n == 0:
    u = jnp.pad(
      table[:, :T], ((0, 0), (block - 1, 0)), constant_values=-jnp.inf
    )
    return tiles.partial(q, k, v, u, windows, block, 0)
  u = table[:, (n - 1) * T + 1 : (n + 1) * T]
  first = 1 - T // block
  return tiles.partial(q, k, v, u, windows, block, first, n * T)


def _nothing(o: Array, lse: Array, k: Array, v: Array):
  """What no key at all adds."""
  del k, v
  return jnp.zeros_like(o), jnp.full_like(lse, FLOOR)


def _join(a: tuple[Array, Array], b: tuple[Array, Array]):
  """One softmax of two over different keys."""
  lse = jnp.logaddexp(a[1], b[1])
  o = sum(o * jnp.exp(part - lse)[..., None] for o, part in (a, b))
  return o, lse
