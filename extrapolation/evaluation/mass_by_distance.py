"""Attention mass by distance of an encoder, beside that of its bias alone."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from extrapolation import attention, config, data, model, runs
from extrapolation.runs import asked

EXAMPLES = 4
MOST = 1 << 11  # positions, whose probabilities are held at once


class Mass(NamedTuple):
  """Mean over queries and examples of the probability at each distance.

  Attributes:
    measured: of the trained model, [N, H, n], each row with sum 1.
    of_bias: the same where no content tells keys apart, [N, H, n].
  """

  measured: Float[np.ndarray, 'N H n']
  of_bias: Float[np.ndarray, 'N H n']


def of_run(run: runs.Trained, e: config.Experiment) -> Mass | None:
  """Of the first examples of a split at the largest size of at most MOST.

  Distances that are not whole are rounded. None where no size is so small.
  """
  text = run.text()
  assert isinstance(text, data.Drawn)
  fits = [
    name for name in e.eval.sizes if config.positions(e.model, name) <= MOST
  ]
  if not fits or e.model.kind != 'encoder':
    return None
  name = max(fits, key=lambda name: config.positions(e.model, name))
  size, least = config.size(e.model, name), asked.within(e)
  space = run.model.space(size)
  read = _reader(run.model.network, space)
  bias = run.model.bias(run.params, 0, space=space)
  sums: Any = 0.0
  for i in range(EXAMPLES):
    cells, _ = text.read([i], size, least, stream=e.eval.split)
    sums = sums + np.stack(
      [np.asarray(x, np.float64) for x in read(run.params, bias, cells.inputs)]
    )
  return Mass(*(sums / EXAMPLES))


@functools.lru_cache(maxsize=8)
def _reader(network: model.Network, space: model.Space) -> Callable:
  """(params, bias, inputs) -> mass by distance, of the model and its bias."""
  g = space.geometry
  t = g.distance(space.places[:, None], space.keys[None])
  at = np.rint(np.asarray(t)).astype(np.int32)
  n = int(at.max()) + 1

  def by_distance(p: Float[Array, 'B H T S']) -> Float[Array, 'H n']:
    of = jax.vmap(
      lambda x: jax.ops.segment_sum(x.ravel(), at.ravel(), num_segments=n)
    )(p.mean(0))
    return of / p.shape[2]

  def attend(
    q: Array, k: Array, v: Array, bias: Any, layer: Any, **kw: Any
  ) -> tuple[Array, tuple[Array, Array]]:
    del layer, kw
    given = (bias, g, space.places, space.keys)
    weights = attention.attend_places_with_weights
    o, p = weights(q, k, v, *given)
    _, flat = weights(0 * q[:1], k[:1], v[:1], *given)
    return o, (by_distance(p), by_distance(flat))

  @jax.jit
  def read(params: dict, bias: Any, inputs: Array) -> tuple[Array, Array]:
    _, masses = network.hidden(params, bias, inputs, space=space, attend=attend)
    return masses

  return read
