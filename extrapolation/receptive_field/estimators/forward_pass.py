"""One forward pass over whole windows, which all estimators read."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from extrapolation import attention
from extrapolation.attention import window_bound
from extrapolation.model import Network
from extrapolation.parts.inputs import previous_ids
from extrapolation.receptive_field.estimators import last_queries


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['x', 'q', 'k', 'v', 'bias', 'share', 'M', 'osc', 'vjp'],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class ForwardPass:
  """What a pass over tokens [B, n] leaves.

  Attributes:
    x: the last query's hidden state.
    q, k, v: of each layer, [B, n, H, K], q with its heat; q of the top layer
      has the last queries alone.
    bias: what each layer adds to q.k (`last_queries.Bias`).
    share: how much of a layer's residual stream stays with its own token: the
      mean of |x| / (|x| + |attention's output|) over positions.
    M: the largest |q.k| / sqrt K can be, by Cauchy-Schwarz.
    osc: the most that two logits of one of the last queries differ.
    vjp: cotangent of x -> that of the input embeddings, [B n, D].
  """

  x: Float[Array, 'B D']
  q: list
  k: list
  v: list
  bias: list
  share: Float[Array, 'B N']
  M: Float[Array, 'B N H']
  osc: Float[Array, 'B N H']
  vjp: Callable


# (params, `Model.bias`, batch [B, n + 1], reference pass) -> {name: [B, ..]}
Estimator = Callable[[dict, Any, Array, ForwardPass], dict[str, Array]]


def hidden(
  network: Network, params: dict, bias: Any, tokens: Array, **kw: Any
) -> Array:
  """`Network.hidden`, of an `attend` that returns outputs alone."""
  x = network.hidden(params, bias, tokens, **kw)
  assert isinstance(x, jax.Array)
  return x


def last_only(
  network: Network, Q: int, seen: Callable = lambda *qkv_bias: None
) -> Callable:
  """An `attend` whose top layer answers for the last Q queries alone."""

  def attend(q, k, v, bias, layer, **kw):
    heated, added = last_queries.read(q, bias, **kw)
    if layer == network.config.N - 1:
      seen(heated[:, -Q:], k, v, added)
      return last_queries.attend(heated[:, -Q:], k, v, added)
    seen(heated, k, v, added)
    return attention.attend(q, k, v, bias, **kw)

  return attend


def make(network: Network, Q: int) -> Callable[..., ForwardPass]:
  """The pass of an unrolled network: (params, bias, tokens) -> ForwardPass."""

  def forward(params, bias, tokens):
    B, n = tokens.shape
    # Each position gets a row of the table of its own, to differentiate by.
    E = params['embed']['embedding'][tokens.reshape(-1)]
    ids = jnp.arange(B * n).reshape(B, n)
    previous = previous_ids(tokens, jnp.arange(n))

    def last_state(E):
      q, k, v, added, M, osc, share = ([] for _ in range(7))

      def seen(*qkv_bias):
        for kept, x in zip((q, k, v, added), qkv_bias, strict=True):
          kept.append(x)
        M.append(window_bound.logit_bound(*qkv_bias[:2]))
        osc.append(last_queries.oscillation(qkv_bias[0][:, -Q:], qkv_bias[1]))

      def add(x, update):
        a, b = (jnp.linalg.norm(y, axis=-1) for y in (x, update))
        share.append(jnp.mean(a / (a + b), axis=-1))
        return x + update

      with_rows = {**params, 'embed': {'embedding': E}}
      attend = last_only(network, Q, seen)
      x = hidden(
        network, with_rows, bias, ids, previous=previous, attend=attend, add=add
      )
      by_layer = [jnp.stack(x, 1) for x in (share, M, osc)]
      return x[:, -1], ((q, k, v, added), by_layer)

    x, vjp, (by_token, rest) = jax.vjp(last_state, E, has_aux=True)
    q, k, v, added = by_token
    share, M, osc = rest
    return ForwardPass(x, q, k, v, added, share, M, osc, vjp)

  return forward


def nats(
  logits: Float[Array, 'B V'], targets: Int[Array, ' B']
) -> Float[Array, ' B']:
  """-ln p(target)."""
  lp = jax.nn.log_softmax(logits)
  return -jnp.take_along_axis(lp, targets[:, None], -1)[:, 0]
