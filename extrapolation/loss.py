"""Cross-entropy of a tied output layer that never holds [B, T, V] logits."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

CHUNK = 2048  # tokens whose logits exist at once


def token_nll(
  x: Float[Array, 'B T D'],
  E: Float[Array, 'V D'],
  targets: Int[Array, 'B T'],
  *,
  chunk: int = CHUNK,
) -> Float[Array, 'B T']:
  """-log p(target) of every token, p = softmax(x E^T), float32, in nats."""
  B, T, _ = x.shape
  dtype = jnp.promote_types(x.dtype, jnp.float32)

  @jax.checkpoint
  def nll(xs):
    x, targets = xs
    logits = lax.dot_general(
      x,
      E.astype(x.dtype),
      (((2,), (1,)), ((), ())),
      preferred_element_type=dtype,
    )
    own = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - own

  n = -(-B * T // chunk)
  pad = -T % n
  x = jnp.pad(x, ((0, 0), (0, pad), (0, 0)))
  targets = jnp.pad(targets, ((0, 0), (0, pad)))
  split = functools.partial(_split, n=n)
  y = lax.map(nll, (split(x), split(targets)))
  return jnp.moveaxis(y, 0, 2).reshape(B, T + pad)[:, :T]


def _split(a, n):
  return jnp.moveaxis(a.reshape(a.shape[0], -1, n, *a.shape[2:]), 2, 0)


def total_nll(
  x: Float[Array, 'B T D'],
  E: Float[Array, 'V D'],
  targets: Int[Array, 'B T'],
  weights: Float[Array, 'B T'],
  *,
  chunk: int = CHUNK,
) -> Float[Array, '']:
  """sum of weights * token_nll; the form to train with."""
  return jnp.sum(weights * token_nll(x, E, targets, chunk=chunk))
