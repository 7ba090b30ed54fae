"""Decoding one token at a time from a ring of keys and values per layer."""

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jaxtyping import Array

from extrapolation import attention
from extrapolation.attention import decode
from extrapolation.model.network import Model, Network, logits, unrolled
from extrapolation.model.sampling import Sampling


@functools.lru_cache(maxsize=8)
def decoder(n: Network, window: tuple[int, ...]) -> tuple[Callable, Callable]:
  """(prefill, step): next-token logits [B, V] and the caches of all layers.

  prefill: `(params, bias, tokens [B, T]) -> (logits, caches)`.
  step: `(params, bias, caches, token [B], position) -> (logits, caches)`.

  Args:
    n: a network without scan and remat (`unrolled`).
    window: keys kept by each head. `bias` [N, H, d] of a step has a value for
      every distance below them, that of `prefill` for those below T.
  """

  def prefill(params: dict, bias: Array, tokens: Array) -> tuple[Array, list]:
    caches = []

    def attend(q: Array, k: Array, v: Array, bias: Array, layer: int) -> Array:
      del layer
      B, _, H, K = k.shape
      empty = decode.init_cache(B, H, K, window, k.dtype)
      caches.append(decode.prefill(k, v, empty))
      return attention.attend(q, k, v, bias, window=window)

    x = n.hidden(params, bias, tokens, attend=attend)
    return logits(params, x[:, -1]), caches

  def step(
    params: dict, bias: Array, caches: list, token: Array, position: Array
  ) -> tuple[Array, list]:
    caches = list(caches)

    def attend(q: Array, k: Array, v: Array, bias: Array, layer: int) -> Array:
      o, caches[layer] = decode.step(q, k, v, bias, caches[layer], position)
      return o

    x = n.hidden(
      params, bias, token[:, None], positions=position[None], attend=attend
    )
    return logits(params, x[:, -1]), caches

  return jax.jit(prefill), jax.jit(step, donate_argnums=2)


def stream(
  m: Model,
  params: dict,
  ids: list[int],
  window: tuple[int, ...],
  sampling: Sampling,
  seed: int,
) -> Iterator[int]:
  """Yields token after token that follows `ids`, without end."""
  m, params = unrolled(m, params)
  prefill, step = decoder(m.network, window)
  bias = m.bias(params, max(*window, len(ids)))
  draw = jax.jit(sampling)
  key = jax.random.key(seed)
  scores, caches = prefill(params, bias, jnp.asarray([ids], jnp.int32))
  bias = bias[..., : max(window)]  # of the prompt no more is needed
  position = len(ids)
  while True:
    token = draw(scores, jax.random.fold_in(key, position))
    yield int(token[0])
    scores, caches = step(params, bias, caches, token, jnp.asarray(position))
    position += 1


def check_length(m: Model, length: int) -> None:
  """Raises the encoding's own ValueError if it cannot rotate so far.

  One token at a time it would not see how long the text gets.
  """
  q = jax.ShapeDtypeStruct((1, length, 1, 2), jnp.float32)
  positions = jax.ShapeDtypeStruct((length,), jnp.int32)
  jax.eval_shape(m.encoding.rotate, q, q, positions)
