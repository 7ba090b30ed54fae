"""Attention of the last queries of a text, with its probabilities at hand."""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import kernel, toeplitz
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.positions import Positions
from extrapolation.attention.terms import Terms, difference

BLOCK, MOST = 256, 32  # queries at once; blocks a text is cut into

# What is added to q.k: a table by i - j, or that with a clock and a heat.
Bias = Float[Array, 'H n'] | Terms


def read(
  q: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'] | Kernel,
  clock: Positions | None = None,
  heat: Float[Array, '#B T #H'] | None = None,
  heats_bias: bool = False,
) -> tuple[Float[Array, 'B T H K'], Bias]:
  """What `attention.attend` is given: q with its heat, and what is added."""
  if heat is not None:
    q = (q * heat[..., None]).astype(q.dtype)
  if clock is None and heat is None:
    assert not isinstance(bias, Kernel)
    return q, bias
  return q, Terms(bias=bias, clock=clock, heat=heat if heats_bias else None)


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

  The largest numerator of a query is 1.
  """
  R, S, H = q.shape[1], k.shape[1], q.shape[2]
  wide = jnp.result_type(
    q.dtype, *(x.dtype for x in jax.tree.leaves(bias)), jnp.float32
  )
  logits = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  logits = logits / math.sqrt(q.shape[3]) + _added(bias, R, S, H, wide)
  e = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
  return e, jnp.sum(e, axis=-1, keepdims=True)


def _added(bias: Bias, R: int, S: int, H: int, wide: Any) -> Array:
  """What is added to q.k, of [1 or B, H, R, S]; -inf where a key is later."""
  t = bias if isinstance(bias, Terms) else Terms(bias=bias)
  if isinstance(t.bias, Kernel):
    added = _on_clock(t, R, S, H)
  else:
    # The padding is where causality enters: a negative distance weighs nothing.
    pad = ((0, 0), (R - 1, 0))
    u = jnp.pad(t.bias[:, :S].astype(wide), pad, constant_values=-jnp.inf)
    added = toeplitz.by_query(u, R)[None]
  if t.heat is not None:
    heat = jnp.moveaxis(t.heat[:, S - R : S], 1, 2)[..., None]
    hidden = added == -jnp.inf
    added = jnp.where(hidden, -jnp.inf, heat * jnp.where(hidden, 0, added))
  return added


def _on_clock(t: Terms, R: int, S: int, H: int) -> Float[Array, 'b H R S']:
  """The kernel at p_i - p_j of the last R of S tokens."""
  assert t.clock is not None and isinstance(t.bias, Kernel)
  function, params = t.bias.bias, t.bias.params
  at_once = kernel.broadcasts(function, params, H)

  def one(clock: Positions) -> Float[Array, 'H R S']:
    whole, part = (x[:S].T for x in (clock.whole, clock.part))  # [h, S]
    query = dict(whole=whole[:, S - R :, None], part=part[:, S - R :, None])
    key = dict(whole=whole[:, None], part=part[:, None])
    distance = difference(query, key)
    distance = jnp.where(distance > 0, distance, 0)
    return kernel.at(function, params, distance, H, at_once)

  seen = jnp.arange(S) <= jnp.arange(S - R, S)[:, None]
  return jnp.where(seen, jax.vmap(one)(t.clock), -jnp.inf)


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
  clock, heat = bias.clock, bias.heat
  if clock is not None:
    after = functools.partial(_after, copies=copies)
    clock = jax.tree.map(after, before.clock, clock)
  if heat is not None:  # that of a key is not read
    pad = ((0, 0), (n - heat.shape[1], 0), (0, 0))
    heat = jnp.pad(heat, pad, constant_values=1)
  return dataclasses.replace(bias, clock=clock, heat=heat)


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
