"""A transformer whose only notion of order or place is its encoding.

A decoder, an encoder, or both: the same blocks, with attention over a line or a
geometry, and with attention across where a decoder reads an encoder.
Pre-layer-norm, tied embeddings, biases, embeddings times sqrt(D): the base
model of arXiv 2307.10156. Flax NNX modules, used as pure functions of a plain
dictionary of parameters (`network.py`).

Sizes: B batch, T length, D width, H heads, K = D / H head width, F hidden,
N layers, V vocabulary.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation import attention, config, rpe
from extrapolation.clock.base import Clock, sums
from extrapolation.config import spaces
from extrapolation.heat.base import Heat
from extrapolation.model import linear
from extrapolation.model.places import Places
from extrapolation.model.space import Space
from extrapolation.parallel import mesh
from extrapolation.parts.inputs import Inputs, per_token
from extrapolation.parts.score import Score

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
  """x + attention(norm(x)), then x + feedforward(norm(x)).

  Between them, where it reads an encoder, x + attention across to it.
  """

  def __init__(
    self,
    c: config.Network,
    form: rpe.RPE,
    rngs: nnx.Rngs,
    across: bool = False,
  ):
    kw = dict(kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs)
    norm = functools.partial(nnx.LayerNorm, c.D, dtype=c.dtype, rngs=rngs)
    self.c, self.form = c, form
    self.attention_norm, self.feedforward_norm = norm(), norm()
    self.qkv = Linear(c.D, 3 * c.D, **kw)
    self.out = Linear(c.D, c.D, **kw)
    self.up = Linear(c.D, c.F, **kw)
    self.down = Linear(c.F, c.D, **kw)
    self.clock, self.heat, self.score = (
      _params(p, c.D, rngs) for p in (form.clock, form.heat, form.score)
    )
    self.across = CrossAttention(c, rngs) if across else None

  def __call__(
    self,
    x: Float[Array, 'B T D'],
    bias: Any,
    key: PRNGKeyArray | None,
    layer: ArrayLike,
    *,
    inputs: Inputs,
    attend: Callable,
    add: Callable,
    read: Callable | None = None,
    **seen: Any,
  ):
    c = self.c
    k1, k2 = (None, None) if key is None else jax.random.split(key)
    x_norm = self.attention_norm(x)
    qkv = self.qkv(x_norm)
    qkv = qkv.reshape(*x.shape[:2], 3, c.H, c.D // c.H)
    inputs = dataclasses.replace(inputs, x=x_norm)
    positions, bias, clock = self._positions(inputs, bias)
    q, k = self.form.rotate(qkv[:, :, 0], qkv[:, :, 1], positions)
    q, heated, heat = self._heated(inputs, q, bias)
    given = clock | heat | self._scored(positions) | seen
    o = attend(q, k, qkv[:, :, 2], heated, layer, **given)
    o, arrays = o if isinstance(o, tuple) else (o, None)
    o = o.reshape(*o.shape[:2], c.D)
    x = add(x[:, -o.shape[1] :], _dropout(self.out(o), c.dropout, k1))
    if self.across is not None:
      assert read is not None  # `Network.hidden` gave it
      k3 = None if key is None else jax.random.fold_in(key, 3)
      x = x + _dropout(self.across(x, bias, read), c.dropout, k3)
    x = x + _dropout(_in_parts(self.feedforward, x), c.dropout, k2)
    return x, arrays

  def _positions(self, inputs: Inputs, bias: Any) -> tuple[Array, Any, dict]:
    """Positions to rotate by, the bias, and the clock that it reads, if any."""
    if self.form.clock.is_index:
      if isinstance(bias, dict):  # read by value, where no table has it
        bias = attention.Kernel(self.form.bias, bias['params'])
      return inputs.positions, bias, {}
    inputs = dataclasses.replace(inputs, step=bias['step'])
    params = _values(self.form.clock, self.clock)
    increments = self.form.clock.increments(inputs, params)
    kernel = attention.Kernel(self.form.bias, bias['params'])
    clock = attention.accumulate(increments)
    positions = sums(increments, inputs.positions) + bias.get('elapsed', 0)
    return positions, kernel, dict(clock=clock)

  def _heated(
    self, inputs: Inputs, q: Array, bias: Any
  ) -> tuple[Array, Any, dict]:
    """q times the heat of q.k alone, the bias, and the heat of both.

    Where all queries see as many keys, the latter is in q and in the bias.
    """
    heat = self.form.heat
    if heat.is_one:
      return q, bias, {}
    s = heat.scale(inputs, _values(heat, self.heat))
    whole = np.broadcast_to(heat.whole, self.c.H)
    apart = inputs.visible is None
    scale = jnp.where(whole, 1, s) if apart else s
    q = (q * scale[..., None]).astype(q.dtype)
    if not whole.any():
      return q, bias, {}
    if apart:
      return q, bias, dict(heat=jnp.where(whole, s, 1), heats_bias=True)
    one = jnp.where(whole, s[0, 0], 1)[:, None]  # [H, 1]
    if isinstance(bias, attention.Kernel):
      return q, bias.times(one), {}
    return q, bias * one, {}

  def _scored(self, positions: Array) -> dict:
    """The score, if logits are more than q.k and a bias, and what it reads."""
    score = self.form.score
    if score.is_plain:
      return {}
    params = _values(score, self.score)
    if positions.ndim < 3:
      positions = per_token(positions)
    return dict(score=attention.Scored(score, params), positions=positions)

  def feedforward(self, x: Array) -> Array:
    h = ACTIVATIONS[self.c.activation](self.up(self.feedforward_norm(x)))
    return self.down(h)


class CrossAttention(nnx.Module):
  """attention(norm(x)) over the hidden states of an encoder."""

  def __init__(self, c: config.Network, rngs: nnx.Rngs):
    kw = dict(kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs)
    self.c = c
    self.norm = nnx.LayerNorm(c.D, dtype=c.dtype, rngs=rngs)
    self.q = Linear(c.D, c.D, **kw)
    self.kv = Linear(c.D, 2 * c.D, **kw)
    self.out = Linear(c.D, c.D, **kw)

  def __call__(self, x: Float[Array, 'B T D'], bias: Any, read: Callable):
    c = self.c
    heads = lambda x: x.reshape(*x.shape[:2], -1, c.H, c.D // c.H)  # noqa: E731
    q = heads(self.q(self.norm(x)))[:, :, 0]
    o = read(q, lambda memory: heads(self.kv(memory)), bias)
    return self.out(o.reshape(*o.shape[:2], c.D))


Part = Clock | Heat | Score


def _params(part: Part, D: int, rngs: nnx.Rngs) -> Any:
  """The learned part of a clock, heat or score of one layer, as raw values."""
  if not part.learned:
    return nnx.data({})
  raw = part.unconstrain(part.init(rngs.params(), D))
  return nnx.data({name: nnx.Param(value) for name, value in raw.items()})


def _values(part: Part, raw: dict) -> dict[str, Array]:
  return part.constrain({name: value[...] for name, value in raw.items()})


class Transformer(nnx.Module):
  """Tokens to hidden states; the encoding enters through its records alone.

  Layer i has the encoding i modulo their number. One that reads an encoder has
  it as `encoder`, another transformer, which reads the same bias (own=False).
  """

  def __init__(
    self,
    c: config.Network,
    V: int,
    forms: Sequence[rpe.RPE],
    rngs: nnx.Rngs,
    own: bool = True,
  ):
    self.c, self.forms = c, tuple(forms)
    normal = nnx.initializers.normal(c.D**-0.5)
    wide = jnp.promote_types(c.dtype, jnp.float32)
    self.embed = nnx.Embed(
      V, c.D, param_dtype=wide, embedding_init=normal, rngs=rngs
    )
    self.norm = nnx.LayerNorm(c.D, dtype=c.dtype, rngs=rngs)
    raw = rpe.init_rows(forms, rngs.params(), c.N, c.rpe_per_layer)
    raw = raw if own else {}
    self.rpe = nnx.data({name: nnx.Param(value) for name, value in raw.items()})
    keys = jax.random.split(rngs.params(), c.N)
    both = c.kind == 'encoder_decoder'
    block = lambda form, key: Block(c, form, nnx.Rngs(key), both)  # noqa: E731
    self.layers = (
      nnx.vmap(functools.partial(block, forms[0]))(keys)
      if c.scan
      else nnx.List(map(block, itertools.cycle(forms), keys))
    )
    self.places = Places(c, rngs) if c.kind == 'encoder' else None
    inner = dataclasses.replace(c, **spaces.OF_ENCODER) if both else None
    self.encoder = nnx.data(
      inner and Transformer(inner, V, forms, rngs, own=False)
    )

  def __call__(
    self,
    tokens: Array,
    bias: Any,
    inputs: Inputs,
    key: PRNGKeyArray | None,
    attend: Callable,
    add: Callable,
    space: Space | None = None,
    read: Callable | None = None,
    **seen: Any,
  ):
    c = self.c
    keys = None if key is None else jax.random.split(key, c.N + 1)
    if self.places is None:
      x = self.embed(tokens) * jnp.sqrt(jnp.float32(c.D))
    else:
      assert space is not None  # `Network.hidden` asks for it
      x = self.places(tokens, self.embed, space)
    x = self.forms[0].embed(x, inputs.positions).astype(c.dtype)
    x = mesh.constrain(
      _dropout(x, c.dropout, None if keys is None else keys[-1])
    )

    def block(
      layer: ArrayLike,
      module: Block,
      x: Array,
      bias: Any,
      key: PRNGKeyArray | None,
      inputs: Inputs,
      of_tokens: dict,
    ):
      x, arrays = module(
        x, bias, key, layer,
        inputs=inputs, attend=attend, add=add, read=read, **of_tokens,
      )  # fmt: skip
      return mesh.constrain(x), arrays

    def compute(layer: ArrayLike, *args: Any):
      one: Callable = functools.partial(block, layer)
      return (nnx.remat(one) if c.remat else one)(*args, inputs, seen)

    if c.scan:
      rest = (bias, None if keys is None else keys[:-1], jnp.arange(c.N))
      graph, stacked = nnx.split(self.layers)

      def body(x: Array, layer: Any):
        params, (bias, key, i) = layer
        return compute(i, nnx.merge(graph, params), x, bias, key)

      x, arrays = jax.lax.scan(body, x, (stacked, rest))
    else:
      layers = []
      for i, module in enumerate(self.layers):
        k = None if keys is None else keys[i]
        x, arrays = compute(i, module, x, rpe.of_layer(bias, i), k)
        layers.append(arrays)
      arrays = jax.tree.map(lambda *x: jnp.stack(x), *layers)
    return self.norm(x), arrays
