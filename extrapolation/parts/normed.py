"""What a layer norm lets through: content of bounded size."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

ROUNDED = 2.0**-7  # of gain, norm and shift in bfloat16


class Normed(NamedTuple):
  """Content x = gain * u + shift, u of mean 0 and mean square at most 1."""

  gain: Float[Array, ' D']
  shift: Float[Array, ' D']


def projected(
  normed: Normed | None, W: Float[Array, 'D H'] | None
) -> tuple[Float[Array, '#H'], Float[Array, '#H']]:
  """The smallest and the largest x W there can be, per head.

  |u.g| <= sqrt(D) ||g - mean(g)|| for g = gain * W (Cauchy and Schwarz, as u
  has the mean 0), and as much again as a norm in bfloat16 may round. Infinite
  where nothing is known of x; 0 where there is no W.

  >>> W = jnp.array([[1.0], [-1.0]])
  >>> low, high = projected(Normed(jnp.ones(2), jnp.zeros(2)), W)
  >>> print(f'{low[0]:.2f} {high[0]:.2f}')
  -2.02 2.02
  """
  if W is None:
    return jnp.zeros(1), jnp.zeros(1)
  if normed is None:
    return jnp.full(1, -jnp.inf), jnp.full(1, jnp.inf)
  g = normed.gain[:, None] * W
  root = jnp.sqrt(jnp.float32(len(g)))
  size = root * jnp.linalg.norm(g - g.mean(0), axis=0)
  whole = root * jnp.linalg.norm(g, axis=0) + jnp.abs(normed.shift) @ jnp.abs(W)
  size += ROUNDED * whole
  middle = normed.shift @ W
  return middle - size, middle + size
