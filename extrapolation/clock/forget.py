import dataclasses

import jax.numpy as jnp
import numpy as np

from extrapolation.clock import _gate, base
from extrapolation.parts import params as learned


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

  clock = _gate.softplus('forget', -1, fixed, gates[gate])
  return dataclasses.replace(
    clock, source='Lin et al. 2025, Forgetting Transformer, arXiv 2503.02130'
  )
