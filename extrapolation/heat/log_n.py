import math

import jax.numpy as jnp

from extrapolation.heat import base
from extrapolation.parts.inputs import Inputs
from extrapolation.parts.params import Params


def make(H: int, train_length: int = 512, whole: bool = False) -> base.Heat:
  r"""Log-n heat: s_i = ln(n_i) / ln(L) of n_i visible keys, L = train_length.

  It is 1 where training ends, and undoes the dilution of attention by a
  growing number of keys beyond. whole = true heats the bias too.
  """
  if train_length < 2:
    raise ValueError(
      f'train_length = {train_length}: log_n needs a training length >= 2'
    )

  def scale(inputs: Inputs, params: Params):
    return base.log_keys(inputs) / math.log(train_length)

  return base.Heat(
    scale=scale,
    whole=whole,
    rate=lambda params: jnp.full(1, 1 / math.log(train_length)),
    source='He et al. 2024, arXiv 2401.16421',
  )
