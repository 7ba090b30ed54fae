import jax.numpy as jnp

from extrapolation.heat import base
from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.params import Params


def make(
  H: int, scale: float = 0.1, floor: int = 8192, whole: bool = False
) -> base.Heat:
  r"""Llama 4: s_i = 1 + scale ln(1 + floor((i + 1) / floor)), a staircase.

  1 for the first `floor` - 1 tokens of a document. Llama 4 has it in layers
  without positions. whole = true heats the bias too.
  """
  if not (scale > 0 and floor >= 1):
    raise ValueError(
      f'scale = {scale}, floor = {floor}: llama4 needs scale > 0 and floor >= 1'
    )

  def heat(inputs: Inputs, params: Params):
    return 1 + scale * jnp.log1p(per_token(inputs.keys // floor))

  return base.Heat(
    scale=heat,
    whole=whole,
    rate=lambda params: jnp.full(1, scale),
    source='Llama 4 in Hugging Face transformers, temperature tuning',
  )
