"""What an encoding must be, looked at before anything is trained with it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from extrapolation import rpe
from extrapolation.rpe.base import RPE

COMPARED = 4096  # distances at which one answer is compared with another
WHOLE = 1 << 16  # distances that are all looked at; beyond, some
SAMPLES = 4096
TOLERANCE = 1e-4  # of what is equal but for the order of a sum


def check(
  encoding: RPE, H: int, T: int, params: Mapping[str, Any] | None = None
) -> None:
  """Returns if `bias` is a function of each distance below T by itself.

  That is, for H heads and n distances it gives [H, n] numbers, none NaN or
  +inf and none -inf at distance 0, where a first token has no other key; and
  the same ones whatever other distances it is asked about. A cheap test of
  some values, no proof.

  Args:
    params: learned ones; those of `init` if None.

  Raises:
    ValueError: it is not; names the file, the head and the distance.
  """
  if params is None:
    params = encoding.init(jax.random.key(0))
  n = min(T, COMPARED)
  near = np.arange(n)
  table = _values(encoding, H, near, params)
  _finite(encoding, table, near)
  for other, part in (
    (np.arange(2 * n), slice(n)),
    (near[::-1], slice(None, None, -1)),
    (near[-1:], slice(None)),
  ):
    again = _values(encoding, H, other, params)[:, part]
    first = table[:, -again.shape[1] :]
    off = ~np.isclose(again, first, TOLERANCE, TOLERANCE)
    if off.any():
      h, i = np.argwhere(off)[0]
      d = near[-again.shape[1] :][i]
      raise _wrong(
        encoding,
        f'at distance {d}, head {h}, it is {first[h, i]:g} among {n} distances '
        f'and {again[h, i]:g} among {len(other)}; it must be a function of '
        'each distance by itself, not of how many there are or which',
      )
  if T > n:
    far = np.arange(n, min(T, WHOLE))
    if T > WHOLE:
      spread = np.geomspace(WHOLE, T - 1, SAMPLES).astype(np.int64)
      far = np.unique(np.concatenate([far, spread]))
    _finite(encoding, _values(encoding, H, far, params), far)


def usable(H: int, T: int) -> tuple[list[str], dict[str, str]]:
  """The names of all encodings that pass `check`, and why others do not."""
  good, bad = [], {}
  for name in rpe.names():
    try:
      check(rpe.get(name, H), H, T)
    except ValueError as e:
      bad[name] = str(e)
    else:
      good.append(name)
  return good, bad


def _values(
  encoding: RPE, H: int, distance: Num[np.ndarray, ' n'], params: Mapping
) -> Float[np.ndarray, 'H n']:
  try:
    table = np.asarray(encoding.bias(jnp.asarray(distance), dict(params)))
  except Exception as e:  # whatever a file of the user's own raises
    words = ' '.join(str(e).split())[:200]
    raise _wrong(
      encoding, f'of {len(distance)} distances raises {type(e).__name__}: '
      f'{words}',
    ) from e  # fmt: skip
  want = (H, len(distance))
  if table.shape != want or not jnp.issubdtype(table.dtype, jnp.floating):
    raise _wrong(
      encoding,
      f'of distances 0 .. {max(distance)} is {table.dtype}{list(table.shape)}; '
      f'it must be float32{list(want)}: one row for each head, one column for '
      'each distance',
    )
  return table.astype(np.float64)


def _finite(encoding: RPE, table: np.ndarray, distance: np.ndarray) -> None:
  bad = np.isnan(table) | np.isposinf(table)
  bad[:, distance == 0] |= np.isneginf(table[:, distance == 0])
  if bad.any():
    i = np.flatnonzero(bad.any(0))[0]
    h = np.flatnonzero(bad[:, i])[0]
    raise _wrong(
      encoding,
      f'is {table[h, i]:g} at distance {distance[i]}, head {h}; it must be a '
      'number, or -inf, a weight of zero, beyond distance 0',
    )


def _wrong(encoding: RPE, what: str) -> ValueError:
  file = rpe.file_of(encoding.name) if encoding.name else ''
  where = f' ({file})' if file else ''
  name = repr(encoding.name) if encoding.name else 'without a name'
  return ValueError(f'encoding {name}{where}: its bias {what}')
