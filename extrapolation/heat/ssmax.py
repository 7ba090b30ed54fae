import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from extrapolation.heat import base
from extrapolation.parts.inputs import Inputs
from extrapolation.parts.params import Params


def make(H: int, s: float = 0.43, whole: bool = False) -> base.Heat:
  r"""SSMax: scale s_h ln(n_i) of n_i visible keys, s_h > 0 learned per head.

  `s` is where every s_h begins. whole = true heats the bias too.
  """
  if not s > 0:
    raise ValueError(f's = {s}: ssmax needs a scale s > 0')

  def scale(inputs: Inputs, params: Params):
    return params['s'] * base.log_keys(inputs)

  def init(key: PRNGKeyArray, D: int):
    return dict(s=jnp.full(H, s, jnp.float32))

  return base.Heat(
    scale=scale,
    whole=whole,
    rate=lambda params: params['s'],
    init=init,
    constrain=lambda raw: jax.tree.map(jnp.exp, raw),
    unconstrain=lambda params: jax.tree.map(jnp.log, params),
    source='Nakanishi 2025, Scalable-Softmax, arXiv 2501.19399',
  )
