"""The learned part of a part: a dictionary of arrays, often an empty one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Params = dict[str, Array]

INIT_STD = 0.02  # of projections from the model's width, as GPT-2 has it


def no_params(key: PRNGKeyArray, D: int) -> Params:
  """The learned part of what learns nothing."""
  del key, D
  return {}


def same(params: Params) -> Params:
  """For parameters that are free in R: raw values are the formula's own."""
  return params


def projection(key: PRNGKeyArray, D: int, H: int) -> Float[Array, 'D H']:
  """Initial weights W ~ N(0, 0.02^2) from the model's width to the heads."""
  return INIT_STD * jax.random.normal(key, (D, H))


def project(
  x: Float[Array, 'B T D'], W: Float[Array, 'D H']
) -> Float[Array, 'B T H']:
  """x W in float32, whatever the dtype of x."""
  return jnp.einsum(
    'btd,dh->bth',
    x.astype(jnp.float32),
    W.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )
