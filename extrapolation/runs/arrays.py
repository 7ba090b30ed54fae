"""Trees of arrays as a checkpoint names them, describes them, sums them up."""

import zlib
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree


def flat(tree: PyTree) -> dict[str, Any]:
  """A tree as {dotted path: leaf}; NamedTuples and integer keys survive."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(p, simple=True, separator='.'): x for p, x in leaves
  }


def describe(x: jax.Array | jax.ShapeDtypeStruct) -> list:
  """[dtype, shape]."""
  return [np.dtype(x.dtype).name, list(x.shape)]


def shards(tree: dict[str, jax.Array]) -> list:
  """[key, CRC, start, shape] of every part that is this process's to save."""
  parts = []
  for key, x in tree.items():
    for shard in x.addressable_shards:
      if shard.replica_id == 0:
        index = zip(shard.index, x.shape, strict=True)
        start = [s.indices(n)[0] for s, n in index]
        parts.append([key, crc(shard.data), start, [*shard.data.shape]])
  return parts


def crc(x: jax.Array | np.ndarray) -> int:
  """CRC-32 of the bytes of an array."""
  return zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
