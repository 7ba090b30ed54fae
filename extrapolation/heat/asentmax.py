import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from extrapolation.heat import base
from extrapolation.parts import params as learned
from extrapolation.parts.inputs import Inputs, per_token


def make(H: int, delta: float = 1.0, whole: bool = False) -> base.Heat:
  r"""ASEntmax's scale: delta + softplus(x W_b) ln(i + 2)^(2 tanh(x W_g)).

  Per head, of the content of query i; the softmax stays. whole = true heats
  the bias too.
  """
  if not delta > 0:
    raise ValueError(f'delta = {delta}: asentmax needs a scale delta > 0')

  def scale(inputs: Inputs, params: learned.Params):
    x = inputs.content('asentmax')
    beta = jax.nn.softplus(learned.project(x, params['W_b']))
    power = 2 * jnp.tanh(learned.project(x, params['W_g']))
    return delta + beta * jnp.log(per_token(inputs.keys + 1)) ** power

  def init(key: PRNGKeyArray, D: int):
    keys = dict(zip(('W_b', 'W_g'), jax.random.split(key), strict=True))
    return {k: learned.projection(v, D, H) for k, v in keys.items()}

  return base.Heat(
    scale=scale,
    whole=whole,
    content=True,
    init=init,
    source='Vasylenko et al. 2025, ASEntmax, arXiv 2506.16640',
  )
