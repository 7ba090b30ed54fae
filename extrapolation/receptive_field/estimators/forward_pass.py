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
from extrapolation.receptive_field.estimators import last_queries


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['x', 'q', 'k', 'v', 'share', 'M', 'osc', 'vjp'],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class ForwardPass:
  """What a pass over tokens [B, n] leaves.

  Attributes:
    x: the last query's hidden state.
    q, k, v: of each layer, [B, n, H, K]; q of the top layer has the last
      queries alone.
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
  share: Float[Array, 'B N']
  M: Float[Array, 'B N H']
  osc: Float[Array, 'B N H']
  vjp: Callable


# (params, bias [N, H, n], batch [B, n + 1], reference pass) -> {name: [B, ..]}
Estimator = Callable[[dict, Array, Array, ForwardPass], dict[str, Array]]


def hidden(
  network: Network, params: dict, bias: Array, tokens: Array, **kw: Any
) -> Array:
  """`Network.hidden`, of an `attend` that returns outputs alone."""
  x = network.hidden(params, bias, tokens, **kw)
  assert isinstance(x, jax.Array)
  return x


def last_only(
  network: Network, Q: int, seen: Callable = lambda *qkv: None
) -> Callable:
  """An `attend` whose top layer answers for the last Q queries alone."""

  def attend(q, k, v, bias, layer):
    if layer == network.config.N - 1:
      seen(q[:, -Q:], k, v)
      return last_queries.attend(q[:, -Q:], k, v, bias)
    seen(q, k, v)
    return attention.attend(q, k, v, bias)

  return attend


def make(network: Network, Q: int) -> Callable[..., ForwardPass]:
  """The pass of an unrolled network: (params, bias, tokens) -> ForwardPass."""

  def forward(params, bias, tokens):
    B, n = tokens.shape
    # Each position gets a row of the table of its own, to differentiate by.
    E = params['embed']['embedding'][tokens.reshape(-1)]
    ids = jnp.arange(B * n).reshape(B, n)

    def last_state(E):
      q, k, v, M, osc, share = ([] for _ in range(6))

      def seen(*qkv):
        for kept, x in zip((q, k, v), qkv, strict=True):
          kept.append(x)
        M.append(window_bound.logit_bound(*qkv[:2]))
        osc.append(last_queries.oscillation(qkv[0][:, -Q:], qkv[1]))

      def add(x, update):
        a, b = (jnp.linalg.norm(y, axis=-1) for y in (x, update))
        share.append(jnp.mean(a / (a + b), axis=-1))
        return x + update

      with_rows = {**params, 'embed': {'embedding': E}}
      attend = last_only(network, Q, seen)
      x = hidden(network, with_rows, bias, ids, attend=attend, add=add)
      by_layer = [jnp.stack(x, 1) for x in (share, M, osc)]
      return x[:, -1], ((q, k, v), by_layer)

    x, vjp, ((q, k, v), rest) = jax.vjp(last_state, E, has_aux=True)
    share, M, osc = rest
    return ForwardPass(x, q, k, v, share, M, osc, vjp)

  return forward


def nats(
  logits: Float[Array, 'B V'], targets: Int[Array, ' B']
) -> Float[Array, ' B']:
  """-ln p(target)."""
  lp = jax.nn.log_softmax(logits)
  return -jnp.take_along_axis(lp, targets[:, None], -1)[:, 0]
