r"""How much attention may lose to a window of w keys, on arrays.

With p the share of the keys beyond the window, z their logits and b the bias,

  p <= s(osc + ln T_w - ln B_w)   before the near keys are read (`dropped`),
  p <= s(m + ln T_w - ln Z)       after (`dropped_seen`),

s(x) = 1 / (1 + e^-x), T_w and B_w the sums of e^b beyond and within the window,
Z = sum e^{z + b} within, m >= every z beyond, osc >= max z - min z. The output
then moves by at most 2 p r, r the radius of a ball that holds the values:
o - o_w = p (mean of the far values - mean of the near ones).

`docs/theory.md`, theorems 1 and 2, has the proofs and the equality cases.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation.attention.positions import Positions
from extrapolation.attention.terms import difference

Numbers = Array | np.ndarray
Number = float | int | Numbers | np.number
STEPS = 8  # towards the smallest ball; any centre gives a bound


def dropped(
  log_tail: Float[Numbers, '...'], log_near: Float[Numbers, '...'], osc: Number
) -> Float[Array, '...']:
  """The a-priori bound of p, from ln T_w, ln B_w and osc (2 M if |z| <= M).

  Arrays that broadcast; float32, so below 1e-38 it is 0.
  """
  return jax.nn.sigmoid(osc + log_tail - log_near)


def dropped_seen(
  log_tail: Float[Numbers, '...'], log_seen: Float[Numbers, '...'], m: Number
) -> Float[Array, '...']:
  """The data-dependent bound of p.

  Args:
    log_tail: ln T_w.
    log_seen: ln Z, log-sum-exp of logit + bias over the w nearest keys.
    m: upper bound of this query's logits beyond the window.
  """
  return jax.nn.sigmoid(m + log_tail - log_seen)


def moved(
  lse: Float[Array, '*batch t h'],
  m: Float[Array, '*batch t h'],
  radius: Float[Array, '*batch 1 h'],
  log_tail: Float[Array, '*#batch 1 h'] | Float[Array, ' h'],
  window: tuple[int, ...],
) -> Float[Array, '*batch t h']:
  """2 p r of every query; 0 of those with no key beyond their window."""
  p = dropped_seen(log_tail, lse, m)
  far = jnp.arange(p.shape[-2])[:, None] >= jnp.asarray(window)
  return 2 * jnp.where(far, p, 0) * radius


def log_beyond(
  clock: Positions, c: Float[Array, ' H']
) -> Float[Array, 'b T H']:
  """ln of a bound of how many keys of a query lie at p_i - p_j > c.

  That is ln i of the i keys before it; -inf where the first of the text, the
  farthest, is within c. With b(c) it bounds ln T_c where b never rises.
  """
  p = dict(whole=clock.whole, part=clock.part)
  far = difference(p, {name: x[:, :1] for name, x in p.items()}) > c
  i = jnp.arange(far.shape[1], dtype=jnp.float32)[:, None]
  return jnp.where(far, jnp.log(i), -jnp.inf)


def moved_beyond(
  lse: Float[Array, '*batch t h'],
  m: Float[Array, '*batch t h'],
  radius: Float[Array, '*batch 1 h'],
  log_tail: Float[Array, '*#batch #t h'],
) -> Float[Array, '*batch t h']:
  """2 p r of every query, of its own ln T; 0 where that is -inf."""
  return 2 * dropped_seen(log_tail, lse, m) * radius


def norm(x: Float[Array, '... k']) -> Float[Array, '...']:
  """||x|| in float32 or wider; its gradient at 0 is 0."""
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  square = jnp.sum(x * x, -1)
  some = square > 0
  return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0)


def ball(
  x: Float[Array, '*batch s h k'],
) -> tuple[Float[Array, '*batch 1 h k'], Float[Array, '*batch 1 h']]:
  """Centre and radius of a ball around the s vectors of each head.

  It is at most as large as the one around 0, and close to the smallest: steps
  towards the farthest vector (Badoiu and Clarkson, Smaller core-sets for
  balls, SODA 2003).
  """
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))

  def radius(c: Array) -> tuple[Array, Array]:
    away = norm(x - c)
    return away, away.max(-2, keepdims=True)

  def step(i: Array, state: tuple) -> tuple:
    c, best, least = state
    away, _ = radius(c)
    far = jnp.expand_dims(away.argmax(-2, keepdims=True), -1)
    c += (jnp.take_along_axis(x, far, -3) - c) / (i + 2)
    r = radius(c)[1]
    better = r < least
    best = jnp.where(better[..., None], c, best)
    return c, best, jnp.minimum(r, least)

  mean, zero = x.mean(-3, keepdims=True), jnp.zeros_like(x[..., :1, :, :])
  state = mean, zero, radius(zero)[1]
  _, centre, r = jax.lax.fori_loop(0, STEPS, step, state)
  return centre, r


def query_bound(
  q: Float[Array, '*batch t h k'], k: Float[Array, '*batch s h k']
) -> Float[Array, '*batch t h']:
  """m of each query: (q.c + ||q|| r) / sqrt K, of a ball around the keys."""
  c, r = ball(k)
  q = q.astype(c.dtype)
  return (jnp.sum(q * c, -1) + norm(q) * r) / math.sqrt(q.shape[-1])


def oscillation_bound(
  q: Float[Array, '*batch t h k'], k: Float[Array, '*batch s h k']
) -> Float[Array, '*batch t h']:
  """osc of each query: 2 ||q|| r / sqrt K, of a ball around the keys."""
  return 2 * norm(q) * ball(k)[1] / math.sqrt(q.shape[-1])


def logit_bound(
  q: Float[Array, '*batch t h k'], k: Float[Array, '*batch s h k']
) -> Float[Array, '*batch h']:
  """M of each head, |z| <= M: the largest ||q|| ||k|| / sqrt K."""
  most = norm(q).max(-2) * norm(k).max(-2)
  return most / math.sqrt(q.shape[-1])
