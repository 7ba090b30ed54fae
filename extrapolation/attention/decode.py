"""Attention of one new token to cached keys: a ring of w keys per head.

A key at position j lies in slot j mod w, so the newest w are there whatever
the length of the text: constant memory and constant time per token. Only
distances enter the bias, and a slot knows its distance.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from extrapolation.attention.precision import FLOOR, dot


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['k', 'v'],
  meta_fields=['heads'],
)
@dataclasses.dataclass(frozen=True)
class Cache:
  """Keys and values of one layer; heads of equal windows share a buffer.

  Attributes:
    k, v: per group of heads, [B h, w, K]. One buffer per layer, and no
      axis of length 1: XLA copies a slice of stacked layers, and all of
      [1, h, w, K].
    heads: per group, which heads.
  """

  k: tuple[Array, ...]
  v: tuple[Array, ...]
  heads: tuple[tuple[int, ...], ...]


def init_cache(
  B: int,
  H: int,
  K: int,
  window: int | tuple[int, ...],
  dtype: DTypeLike = jnp.float32,
) -> Cache:
  """An empty cache that keeps `window` keys (one number, or one per head).

  Raises:
    ValueError: a window below 1, or not one per head.
  """
  windows = window if isinstance(window, tuple) else (window,) * H
  if len(windows) != H or min(windows) < 1:
    raise ValueError(
      f'window {window}: it must be at least 1, one number or {H}, one per head'
    )
  sizes = sorted(set(windows))
  heads = tuple(
    tuple(h for h, w in enumerate(windows) if w == size) for size in sizes
  )
  empty = lambda: tuple(  # noqa: E731  twice: k and v must not share memory
    jnp.zeros((B * len(g), w, K), dtype)
    for g, w in zip(heads, sizes, strict=True)
  )
  return Cache(empty(), empty(), heads)


def step(
  q: Float[Array, 'B 1 H K'],
  k: Float[Array, 'B 1 H K'],
  v: Float[Array, 'B 1 H K'],
  bias: Float[Array, 'H n'],
  cache: Cache,
  position: Int[Array, ''] | int,
) -> tuple[Float[Array, 'B 1 H K'], Cache]:
  """What `attend(..., window)` gives the last of position + 1 tokens.

  Args:
    q: query; k: key; v: value of the new token. An encoding that rotates has
      turned q and k by `position` already.
    bias: values by distance, n >= the widest window.
    cache: of the tokens before; donate it.
    position: index of the new token, 0 for the first.

  Raises:
    ValueError: a bias that is shorter than a window, or not one token.
  """
  widest = max(x.shape[1] for x in cache.k)
  if bias.shape[1] < widest:
    raise ValueError(
      f'bias {bias.shape} for windows of up to {widest} keys: it must hold a '
      'value for every distance below that'
    )
  B, T, H = q.shape[:3]
  if T != 1 or H != sum(map(len, cache.heads)):
    raise ValueError(
      f'q {q.shape}: a step takes one token, of as many heads as the cache, '
      f'{sum(map(len, cache.heads))}'
    )
  o = [None] * H
  keys, values = [], []
  for heads, old_k, old_v in zip(cache.heads, cache.k, cache.v, strict=True):
    w = old_k.shape[1]
    pick = functools.partial(_pick, heads=heads)
    keys.append(_write(old_k, pick(k), position % w))
    values.append(_write(old_v, pick(v), position % w))
    distance = (position - jnp.arange(w)) % w
    row = bias[:, :w] if len(heads) == H else bias[jnp.asarray(heads), :w]
    row = jnp.where(distance <= position, row[:, distance], -jnp.inf)
    out = _attend(pick(q)[:, 0], keys[-1], values[-1], jnp.tile(row, (B, 1)))
    out = out.reshape(B, len(heads), -1)
    for i, h in enumerate(heads):
      o[h] = out[:, i]
  o = jnp.stack(o, 1)[:, None].astype(v.dtype)
  return o, Cache(tuple(keys), tuple(values), cache.heads)


def prefill(
  k: Float[Array, 'B T H K'], v: Float[Array, 'B T H K'], cache: Cache
) -> Cache:
  """The cache after T tokens, of which the newest fit into it."""
  T = k.shape[1]
  new = []
  for x, buffers in ((k, cache.k), (v, cache.v)):
    filled = []
    for heads, old in zip(cache.heads, buffers, strict=True):
      kept = jnp.arange(max(0, T - old.shape[1]), T)
      x_heads = _pick(x[:, kept], heads).astype(old.dtype)
      filled.append(old.at[:, kept % old.shape[1]].set(x_heads))
    new.append(tuple(filled))
  return Cache(*new, cache.heads)


def _pick(x: Array, heads: tuple[int, ...]):
  """[B, T, H, K] -> [B h, T, K]."""
  x = jnp.moveaxis(x, 2, 1)
  x = x if len(heads) == x.shape[1] else x[:, jnp.asarray(heads)]
  return x.reshape(-1, *x.shape[2:])


def _write(buffer: Array, x: Array, slot: ArrayLike):
  return lax.dynamic_update_slice(buffer, x.astype(buffer.dtype), (0, slot, 0))


def _attend(q: Array, k: Array, v: Array, bias: Array):
  """[n, K] x [n, w, K] -> [n, K] in float32 or wider."""
  logits = dot('nk,nsk->ns', q, k) / math.sqrt(q.shape[-1]) + bias
  # A query that sees no key, its table being -inf, gives 0.
  p = jnp.exp(logits - jnp.maximum(logits.max(-1, keepdims=True), FLOOR))
  total = p.sum(-1, keepdims=True)
  p = p / jnp.where(total == 0, 1, total)
  return dot('ns,nsk->nk', p.astype(v.dtype), v)
