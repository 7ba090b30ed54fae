"""What theory needs of the weights of clocks, heats and scores, by layer."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from extrapolation.parts.normed import Normed
from extrapolation.rpe import RPE, Params, of_layer
from extrapolation.rpe.rates import Rates, rates

NEEDED = 'attention_norm', 'clock', 'heat', 'score'


def needed(params: dict[str, Any]) -> list[dict[str, Any]] | dict[str, Any]:
  """The parameters that are read here: one per layer, or stacked."""
  layers = params['layers']
  if NEEDED[0] in layers:
    return _of(layers)
  return [_of(layers[i]) for i in range(len(layers))]


def _of(layer: dict[str, Any]) -> dict[str, Any]:
  return {name: layer.get(name, {}) for name in NEEDED}


def of_layers(
  encodings: Sequence[RPE], N: int, H: int, read: Any
) -> list[list[Rates]]:
  """The rates of all heads of N layers, which take turns in `encodings`.

  Args:
    read: what `needed` gives.
  """
  out = []
  for i in range(N):
    layer = jax.tree.map(jnp.asarray, of_layer(read, i))
    encoding = encodings[i % len(encodings)]
    wide = {
      k: v.astype(jnp.float32) for k, v in layer['attention_norm'].items()
    }
    normed = Normed(gain=wide['scale'], shift=wide['bias'])
    clock = encoding.clock.constrain(layer['clock'])
    heat = encoding.heat.constrain(layer['heat'])
    out.append(rates(encoding, H, clock, heat, normed))
  return out


def mixes(encodings: Sequence[RPE], N: int, read: Any) -> list[Params]:
  """The learned parts of scores whose slope theory can tell, by layer.

  Args:
    read: what `needed` gives.
  """
  out = []
  for i in range(N):
    encoding = encodings[i % len(encodings)]
    parts = encoding.parts or (encoding,)
    of = of_layer(read, i)['score']
    known = any(part.score.slope is not None for part in parts)
    raw = {k: jnp.asarray(v, jnp.float32) for k, v in of.items()}
    out.append(encoding.score.constrain(raw) if known else {})
  return out
