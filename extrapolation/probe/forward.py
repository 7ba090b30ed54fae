"""A trained model as logits at the end of texts, where a probe asks."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from extrapolation import model
from extrapolation.model import Model, Network
from extrapolation.probe.answers import Forward
from extrapolation.receptive_field.estimators import forward_pass


def make(m: Model, params: dict) -> Forward:
  """(tokens [B, T], Q) -> logits [B, Q, V] after the last Q tokens, float32.

  The top layer answers for these alone, and logits are made of no others.
  """
  m, params = model.unrolled(m, params)
  bias = functools.lru_cache(maxsize=1)(lambda T: m.bias(params, T))

  def forward(tokens: np.ndarray, Q: int) -> np.ndarray:
    out = _compiled(m.network, Q)(params, bias(tokens.shape[1]), tokens)
    return np.asarray(out)

  return forward


@functools.lru_cache(maxsize=64)
def _compiled(network: Network, Q: int) -> Callable[[dict, Any, Any], Any]:
  """One program for models whose encodings differ in a table alone."""

  def last(params: dict, bias: Any, tokens: jax.Array) -> jax.Array:
    attend = forward_pass.last_only(network, Q)
    x = forward_pass.hidden(network, params, bias, tokens, attend=attend)
    return model.logits(params, x)

  return jax.jit(last)
