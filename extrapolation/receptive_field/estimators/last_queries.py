"""Attention of the last queries of a text, with its probabilities at hand."""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from extrapolation.attention import kernel, reference, toeplitz
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.positions import Positions
from extrapolation.attention.terms import Scored, Terms, difference, heated
from extrapolation.parts.score import Tile

BLOCK, MOST = 256, 32  # queries at once; blocks a text is cut into

# What makes logits of q.k: a table by i - j, or that with a clock, a heat and a
# score.
Bias = Float[Array, 'H n'] | Terms


def read(
  q: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'] | Kernel,
  clock: Positions | None = None,
  heat: Float[Array, '#B T #H'] | None = None,
  heats_bias: bool = False,
  score: Scored | None = None,
  positions: Float[Array, '#B T #H'] | None = None,
) -> tuple[Float[Array, 'B T H K'], Bias]:
  """What `attention.attend` is given: q with its heat, and the rest.

  The heat of a score's logit is not in q.
  """
  if heat is not None and (score is None or not heats_bias):
    q = (q * heat[..., None]).astype(q.dtype)
  if clock is None and heat is None and score is None:
    assert not isinstance(bias, Kernel)
    return q, bias
  return q, Terms(
    bias=bias,
    clock=clock,
    heat=heat if heats_bias else None,
    scored=score,
    positions=positions,
  )


def probabilities(
  q: Float[Array, 'B R H K'], k: Float[Array, 'B S H K'], bias: Bias
) -> Float[Array, 'B H R S']:
  """p of `attention.reference` for the last R queries of S keys."""
  e, total = weights(q, k, bias)
  return e / total


def weights(
  q: Float[Array, 'B R H K'], k: Float[Array, 'B S H K'], bias: Bias
) -> tuple[Float[Array, 'B H R S'], Float[Array, 'B H R 1']]:
  """Numerators and denominators of `probabilities`.

  The largest numerator of a query is 1; of heads without softmax, the
  denominator.
  """
  R, S, H = q.shape[1], k.shape[1], q.shape[2]
  wide = jnp.result_type(
    q.dtype, *(x.dtype for x in jax.tree.leaves(bias)), jnp.float32
  )
  logits = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  logits, t = logits / math.sqrt(q.shape[3]), bias
  if not isinstance(t, Terms):
    t = Terms(bias=t)
  added, distance = _added(t, R, S, H, wide)
  if t.scored is None:
    logits = logits + _heated(t, added, R, S)
    e = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    return e, jnp.sum(e, axis=-1, keepdims=True)
  seen = added != -jnp.inf
  logits = _scored(t, logits, q.astype(wide), added, distance, seen)
  logits = _heated(t, logits, R, S)
  softmax = t.scored.softmax(H)[:, None, None]
  top = jnp.max(logits, axis=-1, keepdims=True)
  e = jnp.exp(logits - jnp.where(softmax, top, 0))
  return e, jnp.where(softmax, jnp.sum(e, axis=-1, keepdims=True), 1)


def _added(
  t: Terms, R: int, S: int, H: int, wide: Any
) -> tuple[Float[Array, '#B H R S'], Float[Array, '#B #H R S']]:
  """The kernel and the distance; -inf and anything where a key is later."""
  if isinstance(t.bias, Kernel):
    return _on_clock(t, R, S, H)
  # The padding is where causality enters: a negative distance weighs nothing.
  pad = ((0, 0), (R - 1, 0))
  u = jnp.pad(t.bias[:, :S].astype(wide), pad, constant_values=-jnp.inf)
  return toeplitz.by_query(u, R)[None], _between(R, S)[None, None]


def _between(R: int, S: int) -> Float[Array, 'R S']:
  """i - j of the last R of S tokens; 0 where a key is later."""
  between = jnp.arange(S - R, S)[:, None] - jnp.arange(S)
  return jnp.maximum(between, 0).astype(jnp.float32)


def _heated(t: Terms, x: Array, R: int, S: int) -> Array:
  """x [.., R, S] times the heat of the last R of S queries."""
  if t.heat is None:
    return x
  return heated(x, jnp.moveaxis(t.heat[:, S - R : S], 1, 2)[..., None])


def _scored(
  t: Terms,
  z: Float[Array, 'B H R S'],
  q: Float[Array, 'B R H K'],
  bias: Float[Array, '#B H R S'],
  distance: Float[Array, '#B #H R S'],
  seen: Bool[Array, '#B H R S'],
) -> Float[Array, 'B H R S']:
  """The logits of the last R queries of S keys; -inf where not seen."""
  assert t.scored is not None and t.positions is not None
  scored, (R, S) = t.scored, z.shape[2:]

  def of_text(z, q, bias, distance, position, seen):
    tile = Tile(
      z=z,
      q=q,
      bias=jnp.where(seen, bias, 0),
      distance=distance,
      position=position,
      between=_between(R, S)[None],
      passed=jnp.zeros_like(z),
    )
    return reference.logits(scored, tile, seen)

  position = jnp.moveaxis(t.positions[:, S - R : S], 1, 2)[..., None]
  given = z, jnp.moveaxis(q, 1, 2), bias, distance, position, seen
  alike = [len(x) == 1 for x in given]  # one for all texts
  alike[0] = False
  return jax.vmap(of_text, [None if one else 0 for one in alike])(
    *(x[0] if one else x for x, one in zip(given, alike, strict=True))
  )


def _on_clock(
  t: Terms, R: int, S: int, H: int
) -> tuple[Float[Array, 'B H R S'], Float[Array, '#B #H R S']]:
  """The kernel at p_i - p_j of the last R of S tokens, and p_i - p_j."""
  assert t.clock is not None and isinstance(t.bias, Kernel)
  function, params = t.bias.bias, t.bias.params
  at_once = kernel.broadcasts(function, params, H)

  def one(clock: Positions) -> tuple[Array, Array]:
    whole, part = (x[:S].T for x in (clock.whole, clock.part))  # [h, S]
    query = dict(whole=whole[:, S - R :, None], part=part[:, S - R :, None])
    key = dict(whole=whole[:, None], part=part[:, None])
    distance = difference(query, key)
    distance = jnp.where(distance > 0, distance, 0)
    return kernel.at(function, params, distance, H, at_once), distance

  seen = jnp.arange(S) <= jnp.arange(S - R, S)[:, None]
  added, distance = jax.vmap(one)(t.clock)
  return jnp.where(seen, added, -jnp.inf), distance


def oscillation(
  q: Float[Array, 'B R H K'], k: Float[Array, 'B S H K']
) -> Float[Array, 'B H']:
  """The most that two logits of one of the last R queries of S keys differ."""
  R, S = q.shape[1], k.shape[1]
  z = jnp.einsum('bthk,bshk->bhts', q, k) / math.sqrt(q.shape[3])
  seen = jnp.arange(S) <= jnp.arange(S - R, S)[:, None]
  top = jnp.max(z, -1, initial=-jnp.inf, where=seen)
  return (top - jnp.min(z, -1, initial=jnp.inf, where=seen)).max(-1)


def blocks(R: int, S: int) -> Iterator[tuple[int, int]]:
  """[first, last) of blocks of the last R queries of a text of S."""
  size = max(BLOCK, -(-R // MOST))
  for lo in range(0, R, size):
    hi = min(lo + size, R)
    yield S - R + lo, S - R + hi


def attend(
  q: Float[Array, 'B R H K'],
  k: Float[Array, 'B S H K'],
  v: Float[Array, 'B S H K'],
  bias: Bias,
) -> Float[Array, 'B R H K']:
  """The output for the last R queries of S keys."""
  R, S = q.shape[1], k.shape[1]
  out = []
  for lo, hi in blocks(R, S):
    e, total = weights(q[:, lo - S + R : hi - S + R], k[:, :hi], bias)
    o = jnp.einsum('bhts,bshk->bhtk', e.astype(v.dtype), v[:, :hi]) / total
    out.append(jnp.einsum('bhtk->bthk', o).astype(v.dtype))
  return jnp.concatenate(out, axis=1)


def row_times(
  r: Float[Array, 'B S'],
  q: Float[Array, 'B S H K'],
  k: Float[Array, 'B S H K'],
  bias: Bias,
) -> Float[Array, 'B S']:
  """The row r times A, the probabilities of all queries, mean over heads."""
  S = k.shape[1]
  out = jnp.zeros_like(r)
  for lo, hi in blocks(S, S):
    e, total = weights(q[:, lo:hi], k[:, :hi], bias)
    share = r[:, None, lo:hi, None] / total
    out = out.at[:, :hi].add(jnp.einsum('bhto,bhts->bs', share, e))
  return out / q.shape[2]


def continued(bias: Bias, before: Bias, n: int, copies: int) -> Bias:
  """What is added for the last S of n tokens, computed after the others.

  Args:
    bias: of a pass over S tokens alone, [B copies, S].
    before: of a pass over all tokens, [B, n], of which the first n - S stay.
    copies: how many texts go on after each one.
  """
  if not isinstance(bias, Terms):
    return bias
  assert isinstance(before, Terms)
  clock, of_queries = bias.clock, {}
  if clock is not None:
    after = functools.partial(_after, copies=copies)
    clock = jax.tree.map(after, before.clock, clock)
  for name in ('heat', 'positions'):  # those of a key are not read
    x = getattr(bias, name)
    if x is not None:
      pad = ((0, 0), (n - x.shape[1], 0), (0, 0))
      of_queries[name] = jnp.pad(x, pad, constant_values=1)
  return dataclasses.replace(bias, clock=clock, **of_queries)


def _after(
  old: Float[Array, 'a n h'], new: Float[Array, 'b S h'], copies: int
) -> Float[Array, 'c n h']:
  """Positions of a clock that goes on from the n - S first of the old ones."""
  old = jnp.repeat(old, copies, 0) if len(old) > 1 else old
  old = old[:, : old.shape[1] - new.shape[1]]
  B = max(len(old), len(new))
  both = old, old[:, -1:] + new
  return jnp.concatenate(
    [jnp.broadcast_to(x, (B, *x.shape[1:])) for x in both], 1
  )
