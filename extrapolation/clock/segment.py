import jax.numpy as jnp
import numpy as np

from extrapolation.clock import base
from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.params import Params


def make(H: int, ids: str = '10') -> base.Clock:
  r"""BiPE: p_i = number of separators before token i, which end a segment.

  Inside a segment every distance is 0. `ids` are the token ids of separators,
  between hyphens (13-869): 10 is the end of a line in bytes; another tokenizer
  has others.
  """
  parts = ids.split('-')
  if not all(part.isascii() and part.isdigit() for part in parts):
    raise ValueError(
      f'ids = {ids!r}: segment needs the token ids of separators, whole '
      'numbers between hyphens, such as 13-869'
    )
  separators = np.asarray([int(part) for part in parts])

  def increments(inputs: Inputs, params: Params):
    if inputs.previous is None:
      raise ValueError('segment counts separators: it needs the ids of tokens')
    return per_token(jnp.isin(inputs.previous, separators))

  return base.Clock(
    increments=increments,
    pace=lambda params, normed: (jnp.zeros(1), jnp.ones(1)),
    stationary='stationary, ergodic text with separators',
    source='He et al. 2024, BiPE, arXiv 2401.16421',
  )
