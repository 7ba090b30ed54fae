import jax.numpy as jnp

from extrapolation.clock import base
from extrapolation.parts.inputs import Inputs
from extrapolation.parts.params import Params


def make(H: int, step: int = 0) -> base.Clock:
  r"""DroPE: p_i = i until a training step, and p_i = 0 from it on.

  From then on every distance is 0 and no rotation turns, as if there were no
  encoding. step = 0 has none from the start, which scores a trained run
  without its positions.
  """
  if step < 0:
    raise ValueError(f'step = {step}: stop needs a training step >= 0')

  def increments(inputs: Inputs, params: Params):
    return jnp.where(inputs.step < step, base.index(inputs, params), 0)

  return base.Clock(
    increments=increments,
    pace=lambda params, normed: (jnp.zeros(1), jnp.zeros(1)),  # from `step` on
    source='Gelberg et al. 2025, DroPE, arXiv 2512.12167',
  )
