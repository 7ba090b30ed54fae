import jax
import jax.numpy as jnp
import numpy as np

from extrapolation.clock import base
from extrapolation.parts import params as learned
from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.normed import Normed, projected


def make(
  H: int,
  gate: str = 'content',
  decay_time_min: float = 2.0,
  decay_time_max: float = 256.0,
) -> base.Clock:
  r"""FoX: increments -ln f_i of the forget gate f_i = sigmoid(x_i W + b).

  With the kernel `linear` it is the published encoding. gate = bias learns one
  b per head, from f = exp(-1 / T_h) on, and gate = fixed keeps that f; the
  decay times T_h, in tokens, are log-spaced between the two given.
  """
  if not 0 < decay_time_min <= decay_time_max:
    raise ValueError(
      f'decay_time_min = {decay_time_min}, decay_time_max = {decay_time_max}: '
      'forget needs 0 < decay_time_min <= decay_time_max'
    )
  rate = 1 / np.geomspace(decay_time_min, decay_time_max, H)  # 1 / T_h
  fixed = np.float32(-rate - np.log(-np.expm1(-rate)))  # -ln sigmoid = rate
  gates = dict(
    content=lambda key, D: dict(
      W=learned.projection(key, D, H), b=jnp.zeros(H)
    ),
    bias=lambda key, D: dict(b=jnp.asarray(fixed)),
    fixed=learned.no_params,
  )
  if gate not in gates:
    raise ValueError(f'gate = {gate!r}; forget has: {", ".join(gates)}')

  def increments(inputs: Inputs, params: learned.Params):
    z = per_token(jnp.zeros_like(inputs.positions)) + params.get('b', fixed)
    if 'W' in params:
      z = z + learned.project(inputs.content('forget'), params['W'])
    return jax.nn.softplus(-z)

  def pace(params: learned.Params, normed: Normed | None):
    low, high = projected(normed, params.get('W'))
    b = params.get('b', fixed)
    return jax.nn.softplus(-high - b), jax.nn.softplus(-low - b)

  return base.Clock(
    increments=increments,
    init=gates[gate],
    pace=pace,
    positive=True,
    stationary='stationary, ergodic content',
    source='Lin et al. 2025, Forgetting Transformer, arXiv 2503.02130',
  )
