"""A decoder-only transformer whose only notion of order is its encoding.

Pre-layer-norm, tied embeddings, biases, embeddings times sqrt(D): the base
model of arXiv 2307.10156. Flax NNX modules, used as pure functions of a plain
dictionary of parameters (`network.py`).

Sizes: B batch, T length, D width, H heads, K = D / H head width, F hidden,
N layers, V vocabulary.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation import config, rpe
from extrapolation.model import linear
from extrapolation.parallel import mesh

# gelu is worked out again in the backward pass: it costs less than to keep.
ACTIVATIONS = dict(relu=jax.nn.relu, gelu=jax.checkpoint(jax.nn.gelu))
FFN_CHUNK = 4096  # tokens whose hidden feed-forward values exist at once


def _dropout(x: Array, rate: float, key: PRNGKeyArray | None) -> Array:
  return nnx.Dropout(rate)(x, deterministic=key is None, rngs=key)


def _in_parts(f: Callable, x: Float[Array, 'B T D']) -> Float[Array, 'B T D']:
  """f(x), for an f of each token alone, without [T, F] in memory for long T."""
  B, T, D = x.shape
  shards = mesh.shards()
  n = -(-T // (FFN_CHUNK * shards))
  if n == 1:
    return f(x)
  size = FFN_CHUNK * shards
  padded = jnp.pad(x, ((0, 0), (0, n * size - T), (0, 0)))
  if shards == 1:
    parts = jnp.moveaxis(padded.reshape(B, n, size, D), 1, 0)
    y = jnp.moveaxis(jax.lax.map(f, parts), 0, 1)
  else:  # every n-th token, so that each device has an equal part of a part
    parts = jnp.moveaxis(padded.reshape(B, size, n, D), 2, 0)
    y = jnp.moveaxis(jax.lax.map(f, parts), 0, 2)
  return y.reshape(B, n * size, D)[:, :T]


class Linear(nnx.Linear):
  """`nnx.Linear`, computed in the dtype of its input by `linear.dense`."""

  def __call__(self, x: Array) -> Array:
    return linear.dense(x, self.kernel[...], self.bias[...])


class Block(nnx.Module):
  """x + attention(norm(x)), then x + feedforward(norm(x))."""

  def __init__(self, c: config.Network, form: rpe.RPE, rngs: nnx.Rngs):
    kw = dict(kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs)
    norm = functools.partial(nnx.LayerNorm, c.D, dtype=c.dtype, rngs=rngs)
    self.c, self.rotate = c, form.rotate
    self.attention_norm, self.feedforward_norm = norm(), norm()
    self.qkv = Linear(c.D, 3 * c.D, **kw)
    self.out = Linear(c.D, c.D, **kw)
    self.up = Linear(c.D, c.F, **kw)
    self.down = Linear(c.F, c.D, **kw)

  def __call__(
    self,
    x: Float[Array, 'B T D'],
    bias: Float[Array, 'H n'],
    key: PRNGKeyArray | None,
    layer: ArrayLike,
    *,
    positions: Array,
    attend: Callable,
    add: Callable,
  ):
    c = self.c
    k1, k2 = (None, None) if key is None else jax.random.split(key)
    qkv = self.qkv(self.attention_norm(x))
    qkv = qkv.reshape(*x.shape[:2], 3, c.H, c.D // c.H)
    q, k = self.rotate(qkv[:, :, 0], qkv[:, :, 1], positions)
    o = attend(q, k, qkv[:, :, 2], bias, layer)
    o, seen = o if isinstance(o, tuple) else (o, None)
    o = o.reshape(*o.shape[:2], c.D)
    x = add(x[:, -o.shape[1] :], _dropout(self.out(o), c.dropout, k1))
    return x + _dropout(_in_parts(self.feedforward, x), c.dropout, k2), seen

  def feedforward(self, x: Array) -> Array:
    h = ACTIVATIONS[self.c.activation](self.up(self.feedforward_norm(x)))
    return self.down(h)


class Transformer(nnx.Module):
  """Tokens to hidden states; the encoding enters through its record alone."""

  def __init__(self, c: config.Network, V: int, form: rpe.RPE, rngs: nnx.Rngs):
    self.c, self.form = c, form
    normal = nnx.initializers.normal(c.D**-0.5)
    wide = jnp.promote_types(c.dtype, jnp.float32)
    self.embed = nnx.Embed(
      V, c.D, param_dtype=wide, embedding_init=normal, rngs=rngs
    )
    self.norm = nnx.LayerNorm(c.D, dtype=c.dtype, rngs=rngs)
    # Learned encodings: one row for all layers, or one per layer.
    rows = jax.random.split(rngs.params(), c.N if c.rpe_per_layer else 1)
    raw = jax.vmap(lambda k: form.unconstrain(form.init(k)))(rows)
    self.rpe = nnx.data({name: nnx.Param(value) for name, value in raw.items()})
    keys = jax.random.split(rngs.params(), c.N)
    block = lambda key: Block(c, form, nnx.Rngs(key))  # noqa: E731
    self.layers = (
      nnx.vmap(block)(keys) if c.scan else nnx.List([block(k) for k in keys])
    )

  def __call__(
    self,
    tokens: Array,
    bias: Float[Array, 'N H n'],
    positions: Array,
    key: PRNGKeyArray | None,
    attend: Callable,
    add: Callable,
  ):
    c = self.c
    keys = None if key is None else jax.random.split(key, c.N + 1)
    x = self.embed(tokens) * jnp.sqrt(jnp.float32(c.D))
    x = self.form.embed(x, positions).astype(c.dtype)
    x = mesh.constrain(
      _dropout(x, c.dropout, None if key is None else keys[-1])
    )

    def block(
      layer: ArrayLike,
      module: Block,
      x: Array,
      bias: Array,
      key: PRNGKeyArray | None,
    ):
      x, seen = module(
        x, bias, key, layer, positions=positions, attend=attend, add=add
      )
      return mesh.constrain(x), seen

    def compute(layer: ArrayLike, *args: Any):
      one = functools.partial(block, layer)
      return (nnx.remat(one) if c.remat else one)(*args)

    if c.scan:
      rest = (bias, None if key is None else keys[:-1], jnp.arange(c.N))
      graph, stacked = nnx.split(self.layers)

      def body(x: Array, layer: Any):
        params, (bias, key, i) = layer
        return compute(i, nnx.merge(graph, params), x, bias, key)

      x, seen = jax.lax.scan(body, x, (stacked, rest))
    else:
      seen = []
      for i, module in enumerate(self.layers):
        k = None if key is None else keys[i]
        x, arrays = compute(i, module, x, bias[i], k)
        seen.append(arrays)
      seen = jax.tree.map(lambda *layers: jnp.stack(layers), *seen)
    return self.norm(x), seen
