"""Attention of one new token to cached keys: a ring of w keys per head.

A key at position j lies in slot j mod w, so the newest w are there whatever
the length of the text: constant memory and constant time per token. Only
distances enter the bias, and a slot knows its distance: by its number, or, on
a clock, as a sum that grows by the newest increment with each token. Of what
has left the ring its extremes are kept, which bound what it could still change;
a window by the difference of the clock takes those of all keys in their place,
and the weight of the ones that it evicts from their distances.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from extrapolation.attention import scored_ring, truncation
from extrapolation.attention.extremes import Extremes
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.positions import Positions
from extrapolation.attention.precision import FLOOR, dot
from extrapolation.attention.terms import Scored


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['k', 'v', 'left', 'distance', 'elapsed'],
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
    left: per group, extremes of the keys and values that have left it.
    distance: per group, [B h, w], p_i - p_j of the newest token i on a clock;
      empty where distance is i - j.
    elapsed: [1 or B, 1, 1 or H], position of the newest token on that clock.
  """

  k: tuple[Array, ...]
  v: tuple[Array, ...]
  heads: tuple[tuple[int, ...], ...]
  left: tuple[Extremes, ...]
  distance: tuple[Array, ...] = ()
  elapsed: Array | None = None


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
  left = tuple(Extremes.none(B * len(g), K) for g in heads)
  return Cache(empty(), empty(), heads, left)


def step(
  q: Float[Array, 'B 1 H K'],
  k: Float[Array, 'B 1 H K'],
  v: Float[Array, 'B 1 H K'],
  bias: Float[Array, 'H n'] | Kernel,
  cache: Cache,
  position: Int[Array, ''] | int,
  log_tail: Float[Array, ' H'] | None = None,
  shrink: bool = False,
  clock: Positions | None = None,
  heat: Float[Array, '#B 1 h'] | None = None,
  score: Scored | None = None,
  positions: Float[Array, '#B 1 #H'] | Int[Array, '#B 1 #H'] | None = None,
  clock_window: Float[Array, ' H'] | None = None,
) -> tuple[Float[Array, 'B 1 H K'], Cache]:
  """What `attend(..., window)` gives the last of position + 1 tokens.

  Args:
    q: query; k: key; v: value of the new token. An encoding that rotates has
      turned q and k by `position` already.
    bias: values by distance, n >= the widest window; with a clock, the function
      of distance.
    cache: of the tokens before; donate it.
    position: index of the new token, 0 for the first.
    log_tail: ln of the sum of e^bias over the distances from the window to
      `position`, or more. With it the cache keeps `left.error`, what keys
      beyond the rings can have changed in an output so far.
    shrink: as of `attend`; needs log_tail.
    clock: how far the new token is from the one before, as one position.
    heat: factor of the bias of the new query (that of q.k is in q already).
    score: as of `attend`, of one window for all heads.
    positions: p_i of the new token within its document, for a score; `position`
      if None.
    clock_window: of the keys in the ring those at p_i - p_j <= clock_window are
      seen. `left.error` is then of the others too; log_tail is of what is not
      in the ring, so -inf where it is as long as the text.

  Raises:
    ValueError: a bias that is shorter than a window, or not one token; a score
      with several windows, or with log_tail; clock_window without a clock.
  """
  if clock_window is not None and (clock is None or score is not None):
    raise ValueError(
      'clock_window of a cache needs a clock and no score: leave it out'
    )
  if score is not None and len(cache.heads) > 1:
    raise ValueError(
      f'windows of {", ".join(str(x.shape[1]) for x in cache.k)} keys and a '
      'score, which reads all heads of a key: give one window for all heads'
    )
  if score is not None and log_tail is not None:
    raise ValueError(
      'log_tail of a score: it bounds what a bias alone leaves out; without it'
    )
  if shrink and log_tail is None:
    raise ValueError('shrink=True needs log_tail, ln of the weight beyond')
  widest = max(x.shape[1] for x in cache.k)
  if not isinstance(bias, Kernel) and bias.shape[1] < widest:
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
  keys, values, gone, since = [], [], [], []
  groups = zip(cache.heads, cache.k, cache.v, cache.left, strict=True)
  for group, (heads, old_k, old_v, left) in enumerate(groups):
    w = old_k.shape[1]
    pick = functools.partial(_pick, heads=heads)
    slot = position % w
    left = left.including(left.k_next, left.v_next, position >= w)
    keys.append(_write(old_k, pick(k), slot))
    values.append(_write(old_v, pick(v), slot))
    left = left.expecting(keys[-1], values[-1], (position + 1) % w)
    distance = (position - jnp.arange(w)) % w
    if isinstance(bias, Kernel):
      assert clock is not None
      increment = _per_head(clock.whole + clock.part, B, heads)
      far = jnp.where(distance == 0, 0, cache.distance[group] + increment)
      since.append(far)
      row = _at(bias, far, heads, B)
    else:
      row = bias[:, :w] if len(heads) == H else bias[jnp.asarray(heads), :w]
      row = jnp.tile(row[:, distance], (B, 1))
    if heat is not None and score is None:
      row = row * _per_head(heat, B, heads)
    row = jnp.where(distance <= position, row, -jnp.inf)
    evicted = jnp.full(len(row), -jnp.inf)  # ln of weight without logits
    if clock_window is not None:
      c = jnp.tile(clock_window[jnp.asarray(heads)], B)[:, None]
      evicted = jax.nn.logsumexp(jnp.where(since[-1] > c, row, -jnp.inf), -1)
      row = jnp.where(since[-1] > c, -jnp.inf, row)
      left = left.including(pick(k), pick(v))
    one = pick(q)[:, 0]
    if score is None:
      out, lse = _attend(one, keys[-1], values[-1], row)
    else:
      far = since[-1] if since else distance[None]
      at = position if positions is None else positions[:, 0]
      more = None if heat is None else heat[:, 0]
      out, lse = scored_ring.attend(
        score, q[:, 0], keys[-1], values[-1], row, (position, far, at), more
      )
    if log_tail is not None:
      tail = jnp.tile(log_tail[jnp.asarray(heads)], B)
      tail = jnp.logaddexp(tail, evicted)
      left = left.with_values(pick(v)).seen(one, out, lse, tail)
      if shrink:
        out = truncation.scaled(out, lse, left.by_norm(one), tail)
    gone.append(left)
    out = out.reshape(B, len(heads), -1)
    for i, h in enumerate(heads):
      o[h] = out[:, i]
  o = jnp.stack(o, 1)[:, None].astype(v.dtype)
  elapsed = cache.elapsed
  if clock is not None:
    elapsed = elapsed + clock.whole + clock.part
  rings = tuple(keys), tuple(values), cache.heads
  return o, Cache(*rings, tuple(gone), tuple(since), elapsed)


def prefill(
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  cache: Cache,
  error: Float[Array, 'B H'] | float = 0,
  clock: Positions | None = None,
  evicts: bool = False,
) -> Cache:
  """The cache after T tokens, of which the newest fit into it.

  Args:
    k: keys; v: values.
    cache: an empty one.
    error: bounds ||o - o_w|| of their own queries.
    clock: positions of the tokens; None where distance is i - j.
    evicts: whether steps take a clock_window, so that any key may be left out.
  """
  error = jnp.broadcast_to(error, (k.shape[0], k.shape[2]))
  T = k.shape[1]
  new, gone = [], []
  for x, buffers in ((k, cache.k), (v, cache.v)):
    filled = []
    for heads, old in zip(cache.heads, buffers, strict=True):
      kept = jnp.arange(max(0, T - old.shape[1]), T)
      x_heads = _pick(x[:, kept], heads).astype(old.dtype)
      filled.append(old.at[:, kept % old.shape[1]].set(x_heads))
    new.append(tuple(filled))
  for heads, left, *ring in zip(cache.heads, cache.left, *new, strict=True):
    w = ring[0].shape[1]
    if (n := T if evicts else max(0, T - w)) > 0:
      left = left.including(_pick(k[:, :n], heads), _pick(v[:, :n], heads))
    left = left.expecting(*ring, T % w).with_values(_pick(v, heads))
    of_heads = error[:, jnp.asarray(heads)].reshape(-1)
    gone.append(dataclasses.replace(left, error=of_heads.astype(jnp.float32)))
  since = tuple(
    _since(clock, k.shape[0], heads, ring.shape[1])
    for heads, ring in zip(cache.heads, cache.k, strict=True)
    if clock is not None
  )
  elapsed = None
  if clock is not None:
    elapsed = clock.whole[:, -1:] + clock.part[:, -1:]
  return Cache(*new, cache.heads, tuple(gone), since, elapsed)


def _since(
  clock: Positions, B: int, heads: tuple[int, ...], w: int
) -> Float[Array, 'n w']:
  """How far the newest token is from those that a ring of w keys holds."""
  T = clock.whole.shape[1]
  far = sum(x[:, -1:] - x for x in (clock.whole, clock.part))
  kept = jnp.arange(max(0, T - w), T)
  ring = jnp.zeros((B, w, far.shape[-1]), far.dtype)
  ring = ring.at[:, kept % w].set(far[:, kept])
  return _per_head(ring, B, heads)


def _per_head(
  x: Float[Array, '#B w #H'], B: int, heads: tuple[int, ...]
) -> Float[Array, 'n w']:
  """[1 or B, w, 1 or H] -> [B h, w] of these heads."""
  if x.shape[-1] > 1:
    x = x[..., jnp.asarray(heads)]
  x = jnp.broadcast_to(x, (B, x.shape[1], len(heads)))
  return jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1])


def _at(
  kernel: Kernel, distance: Float[Array, 'n w'], heads: tuple[int, ...], B: int
) -> Float[Array, 'n w']:
  """The bias of each row's head at the row's distances."""
  per_head = distance.reshape(B, len(heads), -1)
  rows = [
    kernel.bias(per_head[:, i].reshape(-1), kernel.params)[h].reshape(B, 1, -1)
    for i, h in enumerate(heads)
  ]
  return jnp.concatenate(rows, 1).reshape(distance.shape)


def lost(cache: Cache) -> Float[Array, '']:
  """The largest error of a head so far, as a share of its largest ||v||."""
  shares = [x.error / jnp.where(x.v_norm > 0, x.v_norm, 1) for x in cache.left]
  return jnp.concatenate(shares).max()


def _pick(x: Array, heads: tuple[int, ...]):
  """[B, T, H, K] -> [B h, T, K]."""
  x = jnp.moveaxis(x, 2, 1)
  x = x if len(heads) == x.shape[1] else x[:, jnp.asarray(heads)]
  return x.reshape(-1, *x.shape[2:])


def _write(buffer: Array, x: Array, slot: ArrayLike):
  return lax.dynamic_update_slice(buffer, x.astype(buffer.dtype), (0, slot, 0))


def _attend(q: Array, k: Array, v: Array, bias: Array):
  """[n, K] x [n, w, K] -> [n, K] in float32 or wider, and ln of the sum."""
  logits = dot('nk,nsk->ns', q, k) / math.sqrt(q.shape[-1]) + bias
  # A query that sees no key, its table being -inf, gives 0.
  top = jnp.maximum(logits.max(-1, keepdims=True), FLOOR)
  p = jnp.exp(logits - top)
  total = p.sum(-1, keepdims=True)
  total = jnp.where(total == 0, 1, total)
  o = dot('ns,nsk->nk', (p / total).astype(v.dtype), v)
  return o, (top + jnp.log(total))[:, 0]
