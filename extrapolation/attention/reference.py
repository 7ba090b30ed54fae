"""The definition of attention under a bias of distance; dense, O(T^2)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from extrapolation.attention.kernel import Kernel
from extrapolation.attention.precision import FLOOR
from extrapolation.attention.terms import Scored, Terms, heated
from extrapolation.parts.score import Tile


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'] | Terms,
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B H T T']]:
  r"""Causal softmax attention, and its probabilities.

  o_i = sum_{j <= i} p_ij v_j,  p_ij ~ exp(q_i . k_j / sqrt(K) + bias[i - j]).

  Softmax and bias are float32 or wider whatever the dtype of q, k, v; the
  output has the dtype of v. `bias` holds one value per distance, n >= T; a
  query all of whose keys are at -inf gives 0. Of `Terms` the bias is
  heat_i b(p_i - p_j), and keys of other documents, or at a p_i - p_j above
  clock_window, weigh nothing. A score makes the logits of q.k and the bias, and
  the heat multiplies them; heads without softmax have weights of exp(logit).
  """
  o, p, _ = attend_with_lse(q, k, v, bias)
  return o, p


def attend_with_lse(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'] | Terms,
  window: tuple[int, ...] | None = None,
) -> tuple[Array, Array, Float[Array, 'B T H']]:
  """`attend` of `window` keys, and ln of the sum that p is divided by."""
  T, H, K = q.shape[1:]
  t = bias if isinstance(bias, Terms) else Terms(bias=bias)
  added, seen, distance = _bias(t, T, H)
  if window is not None:
    between = jnp.arange(T)[:, None] - jnp.arange(T)[None, :]
    seen &= between < jnp.asarray(window)[:, None, None]
  wide = jnp.result_type(q.dtype, added.dtype, jnp.float32)
  scores = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  scores, softmax = scores / math.sqrt(K), np.ones((H, 1, 1), bool)
  if t.scored is None:
    scores += added
  else:
    seen &= added != -jnp.inf
    scores = _scored(t, scores, q.astype(wide), added, seen, distance)
    softmax = t.scored.softmax(H)[:, None, None]
  scores = jnp.where(seen, scores, -jnp.inf)
  p, lse = weights(scores, softmax)
  o = jnp.einsum('bhts,bshk->bthk', p.astype(v.dtype), v)
  return o, p, jnp.moveaxis(lse[..., 0], 1, 2)


def _scored(
  t: Terms,
  z: Float[Array, 'B H T T'],
  q: Float[Array, 'B T H K'],
  bias: Float[Array, '*#B H T T'],
  seen: Array,
  distance: Array,
) -> Float[Array, 'B H T T']:
  """The logits of one tile of all queries and keys, times the heat."""
  assert t.scored is not None and t.positions is not None
  scored = t.scored
  B, H, T, _ = z.shape

  def of_sequence(z: Array, q: Array, bias: Array, *more: Array):
    distance, positions, seen = more
    tile = Tile(
      z=z,
      q=q,
      bias=jnp.where(bias == -jnp.inf, 0, bias),
      distance=distance.astype(z.dtype),
      position=positions,
      between=_between(T).astype(z.dtype)[None],
      passed=jnp.zeros_like(z),
    )
    return logits(scored, tile, seen)

  positions = jnp.moveaxis(t.positions, 1, 2)[..., None]
  s = jax.vmap(of_sequence)(
    z,
    jnp.moveaxis(q, 1, 2),
    jnp.broadcast_to(bias, (B, H, T, T)),
    jnp.broadcast_to(distance, (B, *distance.shape[-3:])),
    jnp.broadcast_to(positions, (B, *positions.shape[1:])),
    jnp.broadcast_to(seen, (B, H, T, T)),
  )
  return (
    s if t.heat is None else heated(s, jnp.moveaxis(t.heat, 1, 2)[..., None])
  )


def weights(
  s: Float[Array, '*B H T S'], softmax: Bool[np.ndarray, 'H 1 1']
) -> tuple[Float[Array, '*B H T S'], Float[Array, '*B H T 1']]:
  """Weights of logits s, and ln of the sum that they are divided by.

  Heads without softmax divide by 1. A row whose keys are all at -inf has
  weights of 0.
  """
  top = jax.lax.stop_gradient(jnp.max(s, -1, keepdims=True))
  top = jnp.where((top == -jnp.inf) | ~softmax, 0, top)
  p = jnp.exp(s - top)
  total = jnp.where(softmax, jnp.sum(p, -1, keepdims=True), 1)
  some = total > 0
  total = jnp.where(some, total, 1)
  return p / total, jnp.where(some, top + jnp.log(total), FLOOR)


def logits(
  scored: Scored, tile: Tile, seen: Bool[Array, 'H r s']
) -> Float[Array, 'H r s']:
  """The logits of all keys of the queries of a tile, -inf where not seen.

  Args:
    tile: keys in the order of the text; `passed` is made here.
    seen: which keys a query sees; the others add no step.
  """
  score, params = scored.score, scored.params
  if score.step is not None:
    steps = jnp.where(seen, score.step(tile, params), 0)
    passed = jnp.flip(jnp.cumsum(jnp.flip(steps, -1), -1), -1)
    tile = tile._replace(passed=passed)
  return jnp.where(seen, score.logit(tile, params), -jnp.inf)


def _between(T: int) -> Array:
  """i - j, 0 where the key is later."""
  return jnp.maximum(jnp.arange(T)[:, None] - jnp.arange(T)[None, :], 0)


def _bias(t: Terms, T: int, H: int) -> tuple[Array, Array, Array]:
  """The bias, which keys are seen, distances, as they broadcast.

  Each is [H, T, T] or [B, H, T, T], with 1 for H where it is one for all.
  """
  between = jnp.arange(T)[:, None] - jnp.arange(T)[None, :]
  seen = between >= 0
  distance = _between(T).astype(jnp.float32)[None]
  if t.clock is None:
    added = jnp.asarray(t.bias)[:, jnp.abs(between)]
  else:
    assert isinstance(t.bias, Kernel)
    x = jnp.moveaxis(t.clock.whole, 1, 2), jnp.moveaxis(t.clock.part, 1, 2)
    whole, part = (x[..., :, None] - x[..., None, :] for x in x)
    distance = whole + part
    if t.clock_window is not None:
      seen &= distance <= t.clock_window[:, None, None]
    distance = jnp.where(distance > 0, distance, 0)
    every = jnp.broadcast_to(distance, (len(distance), H, T, T))
    added = jnp.stack(
      [t.bias.bias(every[:, h].ravel(), t.bias.params)[h] for h in range(H)]
    )
    added = jnp.moveaxis(added.reshape(H, -1, T, T), 0, 1)
  if t.heat is not None and t.scored is None:
    added = heated(added, jnp.moveaxis(t.heat, 1, 2)[..., None])
  if t.documents is not None:
    same = t.documents[:, :, None] == t.documents[:, None, :]
    seen = seen & same[:, None]
  return added, seen, distance
