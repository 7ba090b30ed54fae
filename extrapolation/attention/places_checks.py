"""What `attend_places` is given, checked and brought into one form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from extrapolation.attention import checks
from extrapolation.attention.kernel import Kernel
from extrapolation.geometry import Geometry
from extrapolation.parallel import axes

Places = Array | np.ndarray  # [T, c], checked here
PAIRS = 1 << 22  # distances that are counted at once


def operands(
  q: Array,
  k: Array,
  v: Array,
  bias: Array | Kernel | None,
  geometry: Geometry,
  queries: Places,
  keys: Places,
  hidden: Array | None,
  length: int | None,
) -> tuple[Array | Kernel | None, Places, Places]:
  """The bias, a table where distances are whole, and places that are known.

  Raises:
    ValueError: what `attend_places` says.
  """
  _arrays(q, k, v)
  _, shards = axes.in_use()
  if shards > 1:
    raise ValueError(
      f'mesh axis {axes.SEQUENCE!r} of {shards}: attention over places holds '
      "whole sequences; spread the batch over 'data' or 'fsdp' instead"
    )
  (B, T, H), S = q.shape[:3], k.shape[1]
  for name, x, n in ('queries', queries, T), ('keys', keys, S):
    if not (
      x.ndim == 2 and len(x) == n and jnp.issubdtype(x.dtype, jnp.integer)
    ):
      raise ValueError(
        f'{name} {x.dtype} {x.shape}: they must be whole numbers, a place for '
        f'each of {n} tokens, as geometry.places(size) gives'
      )
  if queries.shape[1] != keys.shape[1]:
    raise ValueError(
      f'places {queries.shape} of queries and {keys.shape} of keys: they must '
      'have as many coordinates'
    )
  if hidden is not None and (hidden.shape, hidden.dtype) != ((B, S), bool):
    raise ValueError(
      f'hidden {hidden.dtype} {hidden.shape}: it must be bool, one per key, '
      f'{(B, S)}'
    )
  queries, keys = _known(queries), _known(keys)
  if isinstance(bias, Kernel):
    checks.of_kernel(bias, H)
    bias = Kernel(bias.bias, jax.tree.map(jnp.asarray, bias.params))
    if geometry.whole:
      bias = bias.table(_length(geometry, queries, keys, length))
  elif bias is not None:
    bias = jnp.asarray(bias)
    _table(bias, geometry, queries, keys, length, H)
  return bias, queries, keys


def _arrays(q: Array, k: Array, v: Array) -> None:
  fits = q.ndim == k.ndim == 4 and v.shape == k.shape
  if not fits or (q.shape[0], *q.shape[2:]) != (k.shape[0], *k.shape[2:]):
    raise ValueError(
      f'q {q.shape}, k {k.shape}, v {v.shape}: attention needs [B, T, H, K] '
      'and two of [B, S, H, K]'
    )
  if 0 in (*q.shape, *k.shape):
    raise ValueError(f'q {q.shape}, k {k.shape}: no size may be 0')
  checks.of_dtypes(q, k, v)


def _known(places: Places) -> Places:
  """As an array of NumPy, unless its values are not known yet."""
  known = not isinstance(places, jax.core.Tracer)
  return np.asarray(places) if known else places


def _table(
  bias: Array,
  geometry: Geometry,
  queries: Places,
  keys: Places,
  length: int | None,
  H: int,
) -> None:
  if not geometry.whole:
    raise ValueError(
      f'a table {bias.shape} in {_name(geometry)}, whose distances are not '
      'whole: give the function, Kernel(rpe.bias, params)'
    )
  if not jnp.issubdtype(bias.dtype, jnp.floating):
    raise ValueError(f'bias is {bias.dtype}; it must be floating')
  n = _length(geometry, queries, keys, length)
  if bias.ndim != 2 or bias.shape[0] != H or bias.shape[1] < n:
    raise ValueError(
      f'bias {bias.shape} for {H} heads and distances up to {n - 1} in '
      f'{_name(geometry)}: it must be [{H}, n], n >= {n}, that is '
      f'rpe.bias(jnp.arange({n}), params)'
    )


def _length(
  geometry: Geometry, queries: Places, keys: Places, length: int | None
) -> int:
  """Values of a table that has all distances."""
  if isinstance(queries, np.ndarray) and isinstance(keys, np.ndarray):
    sides = ((x.tobytes(), str(x.dtype), x.shape) for x in (queries, keys))
    least = _longest(geometry, *sides) + 1
  elif length is None:
    raise ValueError(
      f'places {queries.shape} without values yet, whose distances cannot be '
      'counted: give length=geometry.table_length(size), or places of NumPy'
    )
  else:
    least = 1
  if length is not None and length < least:
    raise ValueError(
      f'length = {length}: {_name(geometry)} has distances up to {least - 1} '
      f'here; give at least {least}, as geometry.table_length(size)'
    )
  return length or least


@functools.lru_cache(maxsize=64)
def _longest(geometry: Geometry, *sides: tuple) -> int:
  """The largest distance of a key that is seen; 0 if none is."""
  queries, keys = (np.frombuffer(x, t).reshape(shape) for x, t, shape in sides)
  if geometry.shift_invariant:  # of all differences that there are
    queries, keys = _differences(queries, keys)
  longest, rows = 0, max(1, PAIRS // keys.size)
  for i in range(0, len(queries), rows):
    pair = queries[i : i + rows, None], keys[None]
    t = np.asarray(geometry.distance(*pair))
    if geometry.sees is not None:
      t = np.where(geometry.sees(*pair), t, 0)
    longest = max(longest, int(t.max()))
  return longest


def _differences(
  queries: np.ndarray, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """One query and keys with the differences of all, of two full boxes."""
  low, high = ([f(x, 0) for x in (queries, keys)] for f in (np.min, np.max))
  for x, a, b in zip((queries, keys), low, high, strict=True):
    if not np.prod(b - a + 1.0) == len(x) == len(np.unique(x, axis=0)):
      return queries, keys
  least, most = low[1] - high[0], high[1] - low[0]
  size = most - least + 1
  cells = np.stack(np.unravel_index(np.arange(size.prod()), size), -1)
  return np.zeros((1, len(size)), queries.dtype), least + cells


def _name(geometry: Geometry) -> str:
  return geometry.label or geometry.name or 'this geometry'
