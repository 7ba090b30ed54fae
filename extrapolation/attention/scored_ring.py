"""Attention of one new token to a ring of cached keys, as a score has it."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from extrapolation.attention import reference
from extrapolation.attention.precision import dot, wide
from extrapolation.attention.terms import Scored, heated
from extrapolation.parts.score import Tile


def attend(
  scored: Scored,
  q: Float[Array, 'B H K'],
  k: Float[Array, 'n w K'],
  v: Float[Array, 'n w K'],
  bias: Float[Array, 'n w'],
  places: tuple[ArrayLike, Num[Array, '#n w'], ArrayLike],
  heat: Float[Array, '#B #H'] | None,
) -> tuple[Float[Array, 'n K'], Float[Array, ' n']]:
  """The output of each of n = B H queries, and ln of its sum of weights.

  Args:
    scored: the score and its parameters.
    q: the queries, times the heat.
    k, v: rings; the key of token j is in slot j mod w.
    bias: of each slot; -inf where it is empty.
    places: index of the new token, distance of each slot from it, and its
      position within its document, [1 or B, 1 or H].
    heat: factor of the whole logit.
  """
  (B, H, K), w = q.shape, k.shape[1]
  token, distance, position = places
  dtype = wide(q, bias)
  # Slots in the order of the text, which ends at the new token's.
  slots = (token + 1 + jnp.arange(w)) % w
  back = (jnp.arange(w) - token - 1) % w
  q = q.astype(dtype)
  z = dot('nk,nsk->ns', q.reshape(B * H, K).astype(k.dtype), k) / math.sqrt(K)
  z, bias, distance = (
    x[:, slots].reshape(-1, H if len(x) > 1 else 1, 1, w).astype(dtype)
    for x in (z, bias, distance)
  )
  between = jnp.arange(w, dtype=dtype)[None, None, ::-1]
  position = jnp.atleast_2d(jnp.asarray(position))[..., None, None]
  if heat is not None:
    heat = jnp.broadcast_to(heat, (B, H))[..., None, None]
    q, z = q / heat[..., 0], z / heat

  def row(z: Array, q: Array, bias: Array, distance: Array, position: Array):
    seen = bias != -jnp.inf
    tile = Tile(
      z=z,
      q=q[:, None],
      bias=jnp.where(seen, bias, 0),
      distance=distance,
      position=position,
      between=between,
      passed=jnp.zeros_like(z),
    )
    return reference.logits(scored, tile, seen)

  distance, position = (
    jnp.broadcast_to(x, (B, *x.shape[1:])) for x in (distance, position)
  )
  s = jax.vmap(row)(z, q, bias, distance, position.astype(dtype))
  if heat is not None:
    s = heated(s, heat)
  p, lse = reference.weights(s, scored.softmax(H)[:, None, None])
  p = p.reshape(B * H, w)[:, back]
  return dot('ns,nsk->nk', p.astype(v.dtype), v), lse.ravel()
