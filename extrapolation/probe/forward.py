"""A trained model as logits at the end of texts, where a probe asks."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from extrapolation import model
from extrapolation.evaluation import window_certificate
from extrapolation.evaluation.window_certificate import Windows
from extrapolation.model import Model, Network
from extrapolation.parallel import mesh
from extrapolation.probe.answers import Forward
from extrapolation.receptive_field.estimators import forward_pass


def make(
  m: Model,
  params: dict,
  T: int,
  layout: mesh.Layout,
  windows: Windows | None = None,
) -> Forward:
  """(tokens [B, T], Q) -> logits [B, Q, V] after the last Q tokens, float32.

  The top layer answers for these alone, and logits are made of no others.

  Args:
    T: length of the texts.
    layout: the devices that share a batch, which every process has whole.
    windows: what each query sees; None is all.
  """
  m, params = model.unrolled(m, params)
  bias = jax.tree.map(np.asarray, m.bias(params, T))
  if jax.process_count() == 1:
    params, bias = jax.device_put((params, bias), layout.sharding())
  keys, differences = windows or (None, None)

  def forward(tokens: np.ndarray, Q: int) -> np.ndarray:
    rows = layout.global_from_replicated(tokens)
    compiled = _compiled(m.network, Q, layout, keys)
    return np.asarray(compiled(params, bias, rows, differences))

  return forward


@functools.lru_cache(maxsize=64)
def _compiled(
  network: Network,
  Q: int,
  layout: mesh.Layout,
  keys: tuple[int, ...] | None,
) -> Callable[..., Array]:
  """One program for models whose encodings differ in a table alone."""

  def last(
    params: dict, bias: Any, tokens: Array, differences: Array | None
  ) -> Array:
    if keys is None:
      attend = forward_pass.last_only(network, Q)
    else:
      attend = _windowed(network, Q, keys, differences)
    tokens = mesh.constrain(tokens)
    x = forward_pass.hidden(network, params, bias, tokens, attend=attend)
    return model.logits(params, x)

  return layout.jit_replicated(last)


def _windowed(
  network: Network,
  Q: int,
  keys: tuple[int, ...],
  differences: Float[Array, 'N H'] | None,
) -> Callable:
  """An `attend` through `Windows(keys, differences)`, in the top layer too."""

  whole = window_certificate.attend(keys, differences)

  def attend(q, k, v, bias, layer, **kw):
    o = whole(q, k, v, bias, layer, **kw)
    return o[:, -Q:] if layer == network.config.N - 1 else o

  return attend
