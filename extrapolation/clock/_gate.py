"""Increments softplus(+-(x W + b)): the gates of `forget` and of `cable`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from extrapolation.clock.base import Clock
from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.normed import Normed, projected
from extrapolation.parts.params import Params, project


def softplus(name: str, sign: int, b: ArrayLike, init: Callable) -> Clock:
  """The clock of a gate; W and b are its parameters, if it has them.

  Args:
    b: in place of a parameter.
  """

  def increments(inputs: Inputs, params: Params):
    z = per_token(jnp.zeros_like(inputs.positions)) + params.get('b', b)
    if 'W' in params:
      z = z + project(inputs.content(name), params['W'])
    return jax.nn.softplus(sign * z)

  def pace(params: Params, normed: Normed | None):
    ends = projected(normed, params.get('W'))[::sign]
    low, high = (sign * (z + params.get('b', b)) for z in ends)
    return jax.nn.softplus(low), jax.nn.softplus(high)

  return Clock(
    increments=increments,
    init=init,
    pace=pace,
    positive=True,
    stationary='stationary, ergodic content',
  )
