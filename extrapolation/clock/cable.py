import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from extrapolation.clock import base
from extrapolation.parts import params as learned
from extrapolation.parts.inputs import Inputs
from extrapolation.parts.normed import Normed, projected


def make(H: int) -> base.Clock:
  r"""CABLE: increments softplus(x_i W + b) of the content, per head.

  With the kernel `linear` it is the published bias; `forget` with the gate
  negated.
  """

  def increments(inputs: Inputs, params: learned.Params):
    x = inputs.content('cable')
    return jax.nn.softplus(learned.project(x, params['W']) + params['b'])

  def init(key: PRNGKeyArray, D: int):
    return dict(W=learned.projection(key, D, H), b=jnp.zeros(H))

  def pace(params: learned.Params, normed: Normed | None):
    low, high = projected(normed, params['W'])
    b = params['b']
    return jax.nn.softplus(low + b), jax.nn.softplus(high + b)

  return base.Clock(
    increments=increments,
    init=init,
    pace=pace,
    positive=True,
    stationary='stationary, ergodic content',
    source='Veisi et al. 2025, CABLE, arXiv 2503.08067',
  )
