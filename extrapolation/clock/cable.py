import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from extrapolation.clock import base
from extrapolation.parts import params as learned
from extrapolation.parts.inputs import Inputs


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

  return base.Clock(
    increments=increments,
    init=init,
    source='Veisi et al. 2025, CABLE, arXiv 2503.08067',
  )
