"""One forward pass over whole windows, which all estimators read."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation import attention
from extrapolation.receptive_field import rows
from extrapolation.theory import bound


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['x', 'q', 'k', 'v', 'share', 'M', 'vjp'],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Reference:
  """What a pass over tokens [B, n] leaves.

  Attributes:
    x: [B, D], the last query's hidden state.
    q, k, v: of each layer, [B, n, H, K]; q of the top layer has the last
      queries alone.
    share: [B, N], how much of a layer's residual stream stays with its own
      token: the mean of |x| / (|x| + |attention's output|) over positions.
    M: [B, N, H], the largest |q.k| / sqrt K can be, by Cauchy-Schwarz.
    vjp: cotangent of x -> that of the input embeddings, [B n, D].
  """

  x: Float[Array, 'B D']
  q: list
  k: list
  v: list
  share: Float[Array, 'B N']
  M: Float[Array, 'B N H']
  vjp: Callable


def last_only(m, Q: int, seen: Callable = lambda *qkv: None):
  """An `attend` whose top layer answers for the last Q queries alone."""
  layer = iter(range(m.config.N))

  def attend(q, k, v, bias):
    if next(layer) == m.config.N - 1:
      seen(q[:, -Q:], k, v)
      return rows.attend(q[:, -Q:], k, v, bias)
    seen(q, k, v)
    return attention.attend(q, k, v, bias)

  return attend


def make(m, Q: int) -> Callable:
  """`(params, tokens [B, n]) -> Reference`; an unrolled model."""

  def forward(params, tokens):
    B, n = tokens.shape
    # Each position gets a row of the table of its own, to differentiate by.
    E = params['embed']['embedding'][tokens.reshape(-1)]
    ids = jnp.arange(B * n).reshape(B, n)

    def hidden(E):
      q, k, v, M, share = ([] for _ in range(5))

      def seen(*qkv):
        for kept, x in zip((q, k, v), qkv, strict=True):
          kept.append(x)
        M.append(bound.logit_bound(*qkv[:2]))

      def add(x, update):
        a, b = (jnp.linalg.norm(y, axis=-1) for y in (x, update))
        share.append(jnp.mean(a / (a + b), axis=-1))
        return x + update

      x = m.hidden(
        {**params, 'embed': {'embedding': E}}, ids,
        attend=last_only(m, Q, seen), add=add,
      )  # fmt: skip
      return x[:, -1], (q, k, v, jnp.stack(share, 1), jnp.stack(M, 1))

    x, vjp, seen = jax.vjp(hidden, E, has_aux=True)
    return Reference(x, *seen, vjp)

  return forward


def nats(logits, targets) -> Float[Array, ' B']:
  """-ln p(target)."""
  lp = jax.nn.log_softmax(logits)
  return -jnp.take_along_axis(lp, targets[:, None], -1)[:, 0]
