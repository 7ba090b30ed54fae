"""Cross-entropy of a tied output layer that never holds [B, T, V] logits."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from extrapolation.model.linear import transposed

# Logits that exist at once: what a CPU keeps in its last cache, and what
# fills an accelerator.
LOGITS_CPU, LOGITS = 1 << 22, 1 << 26


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def token_nll(
  x: Float[Array, 'B T D'],
  E: Float[Array, 'V D'],
  targets: Int[Array, 'B T'],
  chunk: int | None = None,
) -> Float[Array, 'B T']:
  """-log p(target) of every token in nats, p = softmax(x E^T), float32.

  Logits exist for `chunk` tokens at a time (None: as many as suits the
  backend), in the backward pass as well, which computes them again. Any
  cotangent, one per token, is taken.
  """
  return _token_nll_fwd(x, E, targets, chunk)[0]


def _token_nll_fwd(x: Array, E: Array, targets: Array, chunk: int | None):
  def one(xs: Any):
    x, targets = xs
    logits = _logits(x, E)
    lse = jax.nn.logsumexp(logits, axis=-1)
    return lse - _at(logits, targets), lse

  split, join = _chunks(x, E, chunk)
  nll, lse = lax.map(one, (split(x), split(targets)))
  return join(nll), (x, E, targets, lse)


def _token_nll_bwd(chunk: int | None, residuals: tuple, g: Array):
  x, E, targets, lse = residuals
  split, join = _chunks(x, E, chunk)

  def one(dE: Array, xs: Any):
    x, targets, lse, g = xs
    p = jnp.exp(_logits(x, E) - lse[..., None])
    dx, dE = _gradients(x, E, targets, p, g, dE)
    return dE, dx

  dE, dx = lax.scan(
    one, _zeros(x, E), (split(x), split(targets), lse, split(g))
  )
  return join(dx), transposed(dE).astype(E.dtype), None


token_nll.defvjp(_token_nll_fwd, _token_nll_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def total_nll(
  x: Float[Array, 'B T D'],
  E: Float[Array, 'V D'],
  targets: Int[Array, 'B T'],
  weights: Float[Array, 'B T'],
  chunk: int | None = None,
) -> Float[Array, '']:
  """sum of weights * token_nll: the form to train with.

  Its cotangent is one number, so the gradient is made in the forward pass,
  while the logits are there, and they are computed once: 3 products instead
  of 4.
  """
  return jnp.sum(weights * token_nll(x, E, targets, chunk))


def _total_nll_fwd(
  x: Array, E: Array, targets: Array, weights: Array, chunk: int | None
):
  split, join = _chunks(x, E, chunk)

  def one(dE: Array, xs: Any):
    x, targets, weights = xs
    logits = _logits(x, E)
    lse = jax.nn.logsumexp(logits, axis=-1)
    p = jnp.exp(logits - lse[..., None])
    dx, dE = _gradients(x, E, targets, p, weights, dE)
    return dE, (lse - _at(logits, targets), dx)

  dE, (nll, dx) = lax.scan(
    one, _zeros(x, E), (split(x), split(targets), split(weights))
  )
  nll = join(nll)
  return jnp.sum(weights * nll), (
    join(dx),
    transposed(dE).astype(E.dtype),
    nll,
    weights,
  )


def _total_nll_bwd(chunk: int | None, residuals: tuple, g: Array):
  del chunk
  dx, dE, nll, weights = residuals
  dx, dE = (g.astype(a.dtype) * a for a in (dx, dE))
  return dx, dE, None, (g * nll).astype(weights.dtype)


total_nll.defvjp(_total_nll_fwd, _total_nll_bwd)


def _logits(x: Array, E: Array):
  return _dot(x, E.astype(x.dtype), (2,), (1,))


def _gradients(
  x: Array, E: Array, targets: Array, p: Array, g: Array, dE: Array
):
  """dx, and dE^T [D, V] with this chunk's part added.

  Of the two operands of dE = dlogits^T x the narrow one, x, is transposed.
  """
  own = targets[..., None] == jnp.arange(E.shape[0])
  d = (g[..., None] * (p - own)).astype(x.dtype)
  dx = _dot(d, E.astype(x.dtype), (2,), (0,)).astype(x.dtype)
  return dx, dE + _dot(x, d, (0, 1), (0, 1))


def _zeros(x: Array, E: Array):
  return jnp.zeros(E.shape[::-1], jnp.promote_types(x.dtype, jnp.float32))


def _dot(a: Array, b: Array, axes_a: tuple[int, ...], axes_b: tuple[int, ...]):
  wide = jnp.promote_types(a.dtype, jnp.float32)
  if jax.default_backend() == 'cpu':  # where XLA lacks some short products
    a, b = a.astype(wide), b.astype(wide)
  return lax.dot_general(
    a, b, ((axes_a, axes_b), ((), ())), preferred_element_type=wide
  )


def _at(logits: Array, targets: Array):
  return jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]


def _chunks(x: Array, E: Array, chunk: int | None):
  """Functions that split [B, T, ...] into [n, B, T / n, ...] and join again.

  Chunk i takes tokens i, i + n, i + 2 n ... of every sequence: a batch or a
  sequence axis that is spread over devices stays spread in every chunk. The
  padding has weight 0.
  """
  B, T = x.shape[:2]
  if chunk is None:
    room = LOGITS_CPU if jax.default_backend() == 'cpu' else LOGITS
    chunk = max(256, room // E.shape[0])
  n = min(T, -(-B * T // chunk))
  end = -(-T // n) * n

  def split(a: Array):
    a = jnp.pad(a, ((0, 0), (0, end - T), *[(0, 0)] * (a.ndim - 2)))
    return jnp.moveaxis(a.reshape(B, end // n, n, *a.shape[2:]), 2, 0)

  def join(a: Array):
    a = jnp.moveaxis(a, 0, 2)
    return a.reshape(B, end, *a.shape[3:])[:, :T]

  return split, join
