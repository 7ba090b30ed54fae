"""Decoding one token at a time from a ring of keys and values per layer."""

import bisect
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation import attention, config, rpe
from extrapolation.attention import decode, window_bound
from extrapolation.model.model import Model, unrolled
from extrapolation.model.network import Network, logits
from extrapolation.model.sampling import Sampling


@functools.lru_cache(maxsize=8)
def decoder(
  n: Network, window: tuple[int, ...], length: int = 0
) -> tuple[Callable, Callable]:
  """(prefill, step): next-token logits [B, V] and the caches of all layers.

  prefill: `(params, bias, tokens [B, T]) -> (logits, caches)`.
  step: `(params, bias, caches, token [B], position, previous [B]) -> (logits,
    caches)`, `previous` the token before.
  Both take log_tail [N, H] as well, ln of the weight that keys beyond the
  windows can have: then the caches know what those can have changed. So they
  take clock_window [N, H]: layers with a clock see what is at p_i - p_j up to
  that, and log_tail is the most that a key beyond weighs, b(clock_window).

  Args:
    n: a network without scan and remat (`unrolled`).
    window: keys kept by each head. `bias` [N, H, d] of a step has a value for
      every distance below them, that of `prefill` for those below T.
    length: of the longest text, which layers with a clock keep whole, for
      clock_window.
  """

  def prefill(
    params: dict,
    bias: Any,
    tokens: Array,
    log_tail: Array | None = None,
    clock_window: Array | None = None,
  ) -> tuple[Array, list]:
    caches = []

    def attend(
      q: Array, k: Array, v: Array, bias: Any, layer: int, **kw: Any
    ) -> Array:
      B, _, H, K = k.shape
      clock, heat = kw.get('clock'), kw.get('heat')
      evicts = clock_window is not None and clock is not None
      kept = (length,) * H if evicts else window
      kw |= dict(clock_window=clock_window[layer]) if evicts else {}
      kw |= {} if evicts else dict(window=window)
      filled = functools.partial(
        decode.prefill,
        k,
        v,
        decode.init_cache(B, H, K, kept, k.dtype),
        clock=clock,
        evicts=evicts,
      )
      if log_tail is None:
        caches.append(filled())
        return attention.attend(q, k, v, bias, **kw)
      o, lse = attention.attend_with_lse(q, k, v, bias, **kw)
      q = q if heat is None else q * heat[..., None]
      m, (_, radius) = window_bound.query_bound(q, k), window_bound.ball(v)
      tail = log_tail[layer]
      if evicts:
        tail += window_bound.log_beyond(clock, clock_window[layer])
        error = window_bound.moved_beyond(lse, m, radius, tail)
      else:
        error = window_bound.moved(lse, m, radius, tail, window)
      caches.append(filled(error.max(1)))
      return o

    x = n.hidden(params, bias, tokens, attend=attend)
    return logits(params, x[:, -1]), caches

  def step(
    params: dict,
    bias: Any,
    caches: list,
    token: Array,
    position: Array,
    log_tail: Array | None = None,
    previous: Array | None = None,
    clock_window: Array | None = None,
  ) -> tuple[Array, list]:
    caches = list(caches)
    if any(cache.elapsed is not None for cache in caches):
      layers = [rpe.of_layer(bias, i) for i in range(len(caches))]
      bias = [
        layer if cache.elapsed is None else layer | dict(elapsed=cache.elapsed)
        for layer, cache in zip(layers, caches, strict=True)
      ]

    def attend(
      q: Array,
      k: Array,
      v: Array,
      bias: Any,
      layer: int,
      heat: Array | None = None,
      heats_bias: bool = True,
      **kw: Any,
    ) -> Array:
      assert heats_bias  # what scales q.k alone is in q
      if heat is not None:
        q = (q * heat[..., None]).astype(q.dtype)
      tail = None if log_tail is None else log_tail[layer]
      if clock_window is not None and 'clock' in kw:
        kw |= dict(clock_window=clock_window[layer])
        tail = None if tail is None else jnp.full_like(tail, -jnp.inf)
      o, caches[layer] = decode.step(
        q, k, v, bias, caches[layer], position, tail, heat=heat, **kw
      )
      return o

    x = n.hidden(
      params,
      bias,
      token[:, None],
      positions=position[None],
      previous=None if previous is None else previous[:, None],
      attend=attend,
    )
    return logits(params, x[:, -1]), caches

  return jax.jit(prefill), jax.jit(step, donate_argnums=2)


class Stream(Iterator[int]):
  """Token after token that follows `ids`, without end.

  Args:
    m, params: a model.
    ids: tokens to continue.
    window: keys kept by each head.
    sampling, seed: how tokens are drawn.
    log_tail: [N, H], ln T_w of a text as long as this may get; `lost` needs it.
    clock_window: [N, H], the largest p_i - p_j that layers with a clock see;
      log_tail is then the most that a key beyond weighs.
    length: tokens of the text at most, its prompt included, which those layers
      keep; clock_window needs it.

  Raises:
    ValueError: clock_window without a length that holds the prompt, or a text
      that grows beyond it.
  """

  def __init__(
    self,
    m: Model,
    params: dict,
    ids: list[int],
    window: tuple[int, ...],
    sampling: Sampling,
    seed: int,
    log_tail: Float[Array, 'N H'] | None = None,
    clock_window: Float[Array | np.ndarray, 'N H'] | None = None,
    length: int = 0,
  ):
    m, self.params = unrolled(m, params)
    self.clock_window = clock_window
    self.length = None if clock_window is None else length
    self._check(len(ids))
    prefill, self.step = decoder(m.network, window, self.length or 0)
    bias = m.bias(self.params, max(*window, len(ids)))
    self.draw, self.key = jax.jit(sampling), jax.random.key(seed)
    self.log_tail = log_tail
    prompt = jnp.asarray([ids], jnp.int32)
    self.scores, self.caches = prefill(
      self.params, bias, prompt, log_tail, clock_window
    )
    # Of tables a step needs no more than the windows.
    self.bias = (
      bias[..., : max(window)] if isinstance(bias, jax.Array) else bias
    )
    self.position, self.token = len(ids), None
    self.previous = prompt[:, -1]

  def __next__(self) -> int:
    if self.token is not None:
      self._check(self.position + 1)
      self.scores, self.caches = self.step(
        self.params, self.bias, self.caches, self.token,
        jnp.asarray(self.position), self.log_tail, self.previous,
        self.clock_window,
      )  # fmt: skip
      self.position, self.previous = self.position + 1, self.token
    key = jax.random.fold_in(self.key, self.position)
    self.token = self.draw(self.scores, key)
    return int(self.token[0])

  def _check(self, tokens: int) -> None:
    if self.length is not None and tokens > self.length:
      raise ValueError(
        f'{tokens} tokens of a text of at most {self.length}, whose keys are '
        'kept for clock_window: give a longer length'
      )

  def lost(self) -> float:
    """By how much what left the rings can have moved an attention's output.

    The largest bound of ||o - o_w|| of all queries, heads and layers of this
    text so far, as a share of the head's largest value vector.
    """
    return max(float(decode.lost(cache)) for cache in self.caches)


def check_length(m: Model, length: int) -> None:
  """Raises ValueError unless a token alone is rotated as it is among `length`.

  Keys are kept as they were rotated; where the angle is also of the other
  tokens of a pass (its length, its last position), they would be stale.
  """
  for encoding in m.encodings:
    alike = rotated_alike(encoding, m.config)
    if not alike(length):
      lengths = range(2, length)
      most = 1 + bisect.bisect(lengths, False, key=lambda n: not alike(n))
      raise ValueError(
        f'length {length}: {encoding.name} rotates a token by what else is in '
        'the pass, so that keys kept from before do not fit; take a text of at '
        f'most {most} tokens, or train with another scaling (model.rpe)'
      )


def rotated_alike(
  encoding: rpe.RPE, c: config.Network
) -> Callable[[int], bool]:
  """Of n: whether tokens 1 and n - 1 turn alone as they do among n."""
  x = np.linspace(1, 2, c.D // c.H, dtype=np.float32)

  @functools.partial(jax.jit, static_argnums=(1, 2))
  def turned(first: Array, T: int, at: tuple[int, ...]) -> list[Array]:
    q = jnp.broadcast_to(x, (1, T, c.H, len(x)))
    both = encoding.rotate(q, q, first + jnp.arange(T))
    return [y[:, jnp.asarray(at)] for y in both]

  def values(first: int, T: int, at: tuple[int, ...]) -> list[np.ndarray]:
    compiled = turned.lower(np.int32(first), T, at).compile()
    # Run as it is, by one who may be traced.
    return [np.asarray(y) for y in compiled(np.int32(first))]

  def alike(length: int) -> bool:
    some = min(1, length - 1), length - 1
    among = values(0, length, some)
    alone = [values(i, 1, (0,)) for i in some]
    alone = [np.concatenate(y, 1) for y in zip(*alone, strict=True)]
    same = functools.partial(np.allclose, atol=1e-5)
    return all(map(same, among, alone))

  return alike
