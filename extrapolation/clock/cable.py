import dataclasses

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from extrapolation.clock import _gate, base
from extrapolation.parts import params as learned


def make(H: int) -> base.Clock:
  r"""CABLE: increments softplus(x_i W + b) of the content, per head.

  With the kernel `linear` it is the published bias; `forget` with the gate
  negated.
  """

  def init(key: PRNGKeyArray, D: int):
    return dict(W=learned.projection(key, D, H), b=jnp.zeros(H))

  return dataclasses.replace(
    _gate.softplus('cable', 1, 0.0, init),
    source='Veisi et al. 2025, CABLE, arXiv 2503.08067',
  )
