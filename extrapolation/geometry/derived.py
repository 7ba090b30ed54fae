"""Geometries made from others: with sides, and with a position of no place."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Integer, Num

from extrapolation.geometry.base import Geometry, Size


def coded(signed: Num[Array, '*t']) -> Num[Array, '*t']:
  """Differences as whole numbers >= 0: 0, 1, -1, 2, -2 .. as 0, 1, 2, 3, 4 ..

  >>> coded(np.array([0, 1, -1, 2, -2])).tolist()
  [0, 1, 2, 3, 4]
  """
  return 2 * abs(signed) - (signed > 0)


def decoded(n: int) -> Integer[Array, ' n']:
  """The differences that the first n codes are of.

  >>> decoded(5).tolist()
  [0, 1, -1, 2, -2]
  """
  code = jnp.arange(n)
  return jnp.where(code % 2 == 1, (code + 1) // 2, -(code // 2))


@functools.lru_cache(maxsize=64)
def directed(geometry: Geometry) -> Geometry:
  """The same space, whose distances say on which side of a query a key lies.

  Its tables are by code (`coded`); `values` gives differences, < 0 of keys
  behind the query, to an encoding that is `directed`.

  Raises:
    ValueError: a space without two sides.
  """
  if geometry.signed is None:
    raise ValueError(
      f'geometry {geometry.label or geometry.name} has no two sides, which a '
      'directed encoding tells apart; take one that is not, or geometry both'
    )
  signed = geometry.signed
  return dataclasses.replace(
    geometry,
    distance=lambda query, key: coded(signed(query, key)),
    longest=lambda size: 2 * geometry.longest(size),
    values=decoded,
    log_count=None,
  )


@functools.lru_cache(maxsize=64)
def with_class_token(geometry: Geometry) -> Geometry:
  """The same space after one position more, at distance 0 from all others.

  The first position of every shape is that of the class token.
  """

  def places(size: Size) -> Integer[np.ndarray, 'T c']:
    inner = geometry.places(size)
    flags = np.zeros((len(inner), 1), inner.dtype)
    first = np.zeros((1, inner.shape[1] + 1), inner.dtype)
    first[0, -1] = 1
    return np.concatenate([first, np.concatenate([inner, flags], -1)])

  def apart(
    query: Num[Array, '*q c'], key: Num[Array, '*k c']
  ) -> Bool[Array, '*t']:
    return (query[..., -1] + key[..., -1]) == 0

  def distance(query: Num[Array, '*q c'], key: Num[Array, '*k c']):
    inner = geometry.distance(query[..., :-1], key[..., :-1])
    return inner * apart(query, key)

  def sees(query: Num[Array, '*q c'], key: Num[Array, '*k c']):
    assert geometry.sees is not None
    inner = geometry.sees(query[..., :-1], key[..., :-1])
    return inner | ~apart(query, key)

  return dataclasses.replace(
    geometry,
    places=places,
    distance=distance,
    sees=None if geometry.sees is None else sees,
    signed=None,
    shift_invariant=False,
    log_count=None,
  )
