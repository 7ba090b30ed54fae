r"""What windows in all layers can change of the loss, from what each costs.

A head moves by at most delta_h within its window, and by

  ||o - o'|| <= max ||v - v'|| + diam(V) tanh(osc(z - z') / 4)

when its inputs move (docs/theory.md, theorem 6: softmax is Lipschitz in its
logits, at any length). A layer norm is Lipschitz by its largest scale over the
standard deviation, which a change by d lowers by at most d / sqrt D. From
layer to layer this bounds how far the residual stream moves; the loss moves by
at most the diameter of the embedding times that of the last norm's output.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from extrapolation.attention import window_bound
from extrapolation.model import Network

Numbers = Array | np.ndarray
SLOPES = dict(relu=1.0, gelu=1.13)  # the largest of an activation


class Layer(NamedTuple):
  """Of a pass without windows.

  Attributes:
    delta: bound of ||o - o_w|| of any query.
    q, k: largest norms.
    diameter: bound of ||v - v'|| between two values of a text.
    first, second: least standard deviation before each layer norm.
  """

  delta: Float[Numbers, ' H']
  q: Float[Numbers, ' H']
  k: Float[Numbers, ' H']
  diameter: Float[Numbers, ' H']
  first: Float[Numbers, '']
  second: Float[Numbers, '']


def deviation(x: Float[Array, 'B T D']) -> Float[Array, '']:
  """The least standard deviation of a position."""
  return jnp.std(x.astype(jnp.float32), -1).min()


def after(network: Network, params: dict, x: Array) -> Float[Array, '']:
  """`deviation` before the last norm; x enters the last feed-forward."""
  last = nnx.merge(network.graph, params).layers[-1]
  return deviation(x + last.feedforward(x))


def total_variation(
  osc: Float[np.ndarray, '*shape'],
) -> Float[np.ndarray, '*shape']:
  """The most two softmaxes differ whose logits' difference spans osc."""
  return np.tanh(np.asarray(osc) / 4)


def nats(
  network: Network, params: dict, layers: list[Layer], last: float
) -> float | None:
  """Bound of |loss - loss within the windows| of any token, in nats.

  None is vacuous: no less than what two hidden states can ever differ by.

  Args:
    network, params: without scan.
    layers: what was seen of each.
    last: least standard deviation before the last norm.
  """
  c, d = network.config, 0.0
  for i, seen in enumerate(layers):
    seen = Layer(*(np.asarray(x, np.float64) for x in seen))
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params['layers'][i])
    e = _normed(p['attention_norm'], d, seen.first)
    parts = p['qkv']['kernel'].reshape(c.D, 3, c.H, -1)
    dq, dk, dv = (
      e * np.linalg.norm(np.moveaxis(x, 1, 0), 2, axis=(1, 2))
      for x in np.moveaxis(parts, 1, 0)
    )
    z = (seen.q * dk + seen.k * dq + dq * dk) / math.sqrt(c.D // c.H)
    o = seen.delta + dv + seen.diameter * total_variation(2 * z)
    d += _norm(p['out']) * float(np.linalg.norm(o))
    slope = _norm(p['down']) * SLOPES[c.activation] * _norm(p['up'])
    d += slope * _normed(p['feedforward_norm'], d, seen.second)
  # Two outputs of the last norm are no farther apart, whatever came before.
  most = 2 * np.abs(np.asarray(params['norm']['scale'])).max() * math.sqrt(c.D)
  x = _normed(params['norm'], d, last)
  if not x < most:
    return None
  E = jnp.asarray(params['embed']['embedding'])[:, None]
  return float(2 * window_bound.ball(E)[1].max() * x)


def _norm(dense: dict[str, Any]) -> float:
  return float(np.linalg.norm(dense['kernel'], 2))


def _normed(norm: dict[str, Any], d: float, deviation: Any) -> float:
  """How far a layer norm's output moves when its input moves by d."""
  scale = np.abs(np.asarray(norm['scale'], np.float64))
  left = float(deviation) - d / math.sqrt(len(scale))
  if d == 0:
    return 0.0
  return float(scale.max()) * d / left if left > 0 else math.inf
