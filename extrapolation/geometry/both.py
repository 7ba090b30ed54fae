import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from extrapolation.geometry import base, line


def make() -> base.Geometry:
  r"""A line read in both directions: distance |i - j|.

  Two keys lie at every distance t > 0, and the query itself at 0.
  """
  return base.Geometry(
    axes=('length',),
    places=line.positions,
    distance=lambda query, key: abs(query[..., 0] - key[..., 0]),
    longest=lambda size: size[0] - 1,
    shift_invariant=True,
    log_count=log_count,
    query=lambda size: size[0] // 2,
    source='encoders, such as that of T5, arXiv 1910.10683',
  )


def log_count(distance: Num[Array, ' d']) -> Float[Array, ' d']:
  """ln of 1, 2, 2, ..."""
  return jnp.where(distance > 0, jnp.log(2.0), 0.0)
