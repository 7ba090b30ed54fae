import jax
import jax.numpy as jnp

from extrapolation.clock import base
from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.params import Params


def make(H: int, length: int = 2048) -> base.Clock:
  r"""Randomised positions: in training, T sorted draws from 0 .. length - 1.

  Drawn without replacement, one set per step: p_i - p_j >= i - j, and
  (length + 1) / (T + 1) per token in the mean. Without a key, outside
  training, p_i = i.
  """
  if length < 1:
    raise ValueError(f'length = {length}: randomized needs at least 1 position')

  def increments(inputs: Inputs, params: Params):
    if inputs.key is None:
      return base.index(inputs, params)
    T = inputs.positions.shape[-1]
    if T > length:
      raise ValueError(
        f'randomized: length = {length} positions are too few for sequences of '
        f'{T} tokens; give length = {T} or more'
      )
    drawn = jax.random.choice(inputs.key, length, (T,), replace=False)
    return per_token(jnp.diff(jnp.sort(drawn), prepend=0))

  return base.Clock(
    increments=increments,
    pace=lambda params, normed: (jnp.ones(1), jnp.ones(1)),
    source='Ruoss et al. 2023, arXiv 2305.16843',
  )
