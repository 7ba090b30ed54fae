"""A decoder-only transformer whose only notion of order is its encoding.

Pre-layer-norm, tied embeddings, biases, embeddings times sqrt(D): the base
model of arXiv 2307.10156. Flax NNX modules, used as pure functions of a plain
dictionary of parameters (`make`).

Sizes: B batch, T length, D width, H heads, K = D / H head width, F hidden,
N layers, V vocabulary.
"""

import dataclasses
import functools
import json
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from extrapolation import attention, linear, loss, parallel, rpe

# gelu is worked out again in the backward pass: it costs less than to keep.
ACTIVATIONS = dict(relu=jax.nn.relu, gelu=jax.checkpoint(jax.nn.gelu))
LONG = 4096  # tokens whose hidden feed-forward values exist at once
DTYPES = dict(float32=jnp.float32, bfloat16=jnp.bfloat16, float64=jnp.float64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """The section `model` of a config; `config.base` says what each field is."""

  rpe: str
  rpe_args: dict = dataclasses.field(default_factory=dict)
  rpe_per_layer: bool = False
  N: int = 6
  D: int = 512
  H: int = 8
  F: int = 2048
  activation: str = 'relu'
  dropout: float = 0.0
  dtype: str = 'float32'
  remat: bool = False
  scan: bool = False

  def __post_init__(self):
    for name in ('N', 'D', 'H', 'F'):
      if getattr(self, name) < 1:
        raise ValueError(f'model.{name} = {getattr(self, name)}: needs >= 1')
    if self.D % self.H:
      fits = [h for h in range(1, self.D + 1) if self.D % h == 0]
      near = sorted(fits, key=lambda h: abs(h - self.H))[:3]
      raise ValueError(
        f'model.H = {self.H} heads do not divide model.D = '
        f'{self.D}; near by: {", ".join(map(str, sorted(near)))}'
      )
    for name, table in (('activation', ACTIVATIONS), ('dtype', DTYPES)):
      if getattr(self, name) not in table:
        raise ValueError(
          f'model.{name} = {getattr(self, name)!r}; there are: '
          + ', '.join(table)
        )
    if self.dtype == 'float64' and not jax.config.jax_enable_x64:
      raise ValueError('model.dtype = float64 needs JAX_ENABLE_X64=1')
    if not 0 <= self.dropout < 1:
      raise ValueError(f'model.dropout = {self.dropout}: needs 0 <= p < 1')


def _dropout(x: Array, rate: float, key: PRNGKeyArray | None) -> Array:
  return nnx.Dropout(rate)(x, deterministic=key is None, rngs=key)


def _in_parts(f: Callable, x: Float[Array, 'B T D']) -> Float[Array, 'B T D']:
  """f(x), for an f of each token alone, without [T, F] in memory for long T."""
  B, T, D = x.shape
  shards = parallel.shards()
  n = -(-T // (LONG * shards))
  if n == 1:
    return f(x)
  size = LONG * shards
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

  def __call__(self, x):
    return linear.dense(x, self.kernel[...], self.bias[...])


class Block(nnx.Module):
  """x + attention(norm(x)), then x + feedforward(norm(x))."""

  def __init__(self, c: Config, encoding: rpe.RPE, rngs: nnx.Rngs):
    kw = dict(kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs)
    norm = functools.partial(
      nnx.LayerNorm, c.D, dtype=DTYPES[c.dtype], rngs=rngs
    )
    self.c, self.rotate = c, encoding.rotate
    self.attention_norm, self.feedforward_norm = norm(), norm()
    self.qkv = Linear(c.D, 3 * c.D, **kw)
    self.out = Linear(c.D, c.D, **kw)
    self.up = Linear(c.D, c.F, **kw)
    self.down = Linear(c.F, c.D, **kw)

  def __call__(self, x, bias, key, *, positions, attend, add):
    c = self.c
    k1, k2 = (None, None) if key is None else jax.random.split(key)
    qkv = self.qkv(self.attention_norm(x))
    qkv = qkv.reshape(*x.shape[:2], 3, c.H, c.D // c.H)
    q, k = self.rotate(qkv[:, :, 0], qkv[:, :, 1], positions)
    o = attend(q, k, qkv[:, :, 2], bias)
    o, seen = o if isinstance(o, tuple) else (o, None)
    o = o.reshape(*o.shape[:2], c.D)
    x = add(x[:, -o.shape[1] :], _dropout(self.out(o), c.dropout, k1))
    return x + _dropout(_in_parts(self.feedforward, x), c.dropout, k2), seen

  def feedforward(self, x):
    h = ACTIVATIONS[self.c.activation](self.up(self.feedforward_norm(x)))
    return self.down(h)


class Transformer(nnx.Module):
  """Tokens to hidden states; the encoding enters through its record alone."""

  def __init__(self, c: Config, V: int, encoding: rpe.RPE, rngs: nnx.Rngs):
    self.c, self.encoding = c, encoding
    normal = nnx.initializers.normal(c.D**-0.5)
    wide = jnp.promote_types(DTYPES[c.dtype], jnp.float32)
    self.embed = nnx.Embed(
      V, c.D, param_dtype=wide, embedding_init=normal, rngs=rngs
    )
    self.norm = nnx.LayerNorm(c.D, dtype=DTYPES[c.dtype], rngs=rngs)
    # Learned encodings: one row for all layers, or one a layer.
    self.rows = c.N if c.rpe_per_layer else 1
    rows = jax.random.split(rngs.params(), self.rows)
    raw = jax.vmap(lambda k: encoding.unconstrain(encoding.init(k)))(rows)
    self.rpe = nnx.data({name: nnx.Param(value) for name, value in raw.items()})
    keys = jax.random.split(rngs.params(), c.N)
    block = lambda key: Block(c, encoding, nnx.Rngs(key))  # noqa: E731
    self.layers = (
      nnx.vmap(block)(keys) if c.scan else nnx.List([block(k) for k in keys])
    )

  def rpe_params(self) -> rpe.Params:
    """The encoding's parameters in the units of its formula, [1 or N, ...]."""
    raw = {name: value[...] for name, value in self.rpe.items()}
    return jax.vmap(self.encoding.constrain, axis_size=self.rows)(raw)

  def bias(self, T: int) -> Float[Array, 'N H T']:
    """The table of each layer; one value for every distance below T."""
    table = functools.partial(self.encoding.bias, jnp.arange(T))
    tables = jax.vmap(table, axis_size=self.rows)(self.rpe_params())
    return jnp.broadcast_to(tables, (self.c.N, *tables.shape[1:]))

  def __call__(self, tokens, positions, key, attend, add):
    c, (_, T) = self.c, tokens.shape
    keys = None if key is None else jax.random.split(key, c.N + 1)
    x = self.embed(tokens) * jnp.sqrt(jnp.float32(c.D))
    x = self.encoding.embed(x, positions).astype(DTYPES[c.dtype])
    x = parallel.place(
      _dropout(x, c.dropout, None if key is None else keys[-1])
    )
    bias = self.bias(T)

    def block(layer, x, bias, key):
      x, seen = layer(x, bias, key, positions=positions, attend=attend, add=add)
      return parallel.place(x), seen

    if c.remat:
      block = nnx.remat(block)
    if c.scan:
      rest = (bias, None if key is None else keys[:-1])
      graph, stacked = nnx.split(self.layers)

      def body(x, layer):
        params, (bias, key) = layer
        return block(nnx.merge(graph, params), x, bias, key)

      x, seen = jax.lax.scan(body, x, (stacked, rest))
    else:
      seen = []
      for i, layer in enumerate(self.layers):
        x, found = block(layer, x, bias[i], None if key is None else keys[i])
        seen.append(found)
      seen = jax.tree.map(lambda *layers: jnp.stack(layers), *seen)
    return self.norm(x), seen


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A transformer as a record of pure functions of `params`.

  Attributes:
    init: `key -> params`, a nested dictionary of float32 arrays, or wider.
    hidden: `(params, tokens [B, T], key=None, positions=None, attend=None,
      add=operator.add) -> [B, T, D]`; a key turns dropout on; `attend` replaces
      attention (to read its probabilities, or to decode from a cache). It may
      answer for the last queries alone, with which the model then goes on, and
      return (o, arrays): then so does `hidden`, the arrays stacked over layers.
      `add` replaces the sum of the residual and an attention's output.
    rpe_params: `params -> {name: [1 or N, ...]}` in units of the formula.
    bias: `(params, T) -> [N, H, T]`, log weight by layer, head, distance.
  """

  config: Config
  V: int
  encoding: rpe.RPE
  init: Callable
  hidden: Callable
  rpe_params: Callable
  bias: Callable

  def logits(self, params, tokens: Int[Array, 'B T'], **kw):
    """Next-token logits, [B, T, V] float32 or wider."""
    return logits(params, self.hidden(params, tokens, **kw))

  def nll(
    self, params, tokens: Int[Array, 'B T'], targets: Int[Array, 'B T'], **kw
  ) -> Float[Array, 'B T']:
    """-ln p(target), nats a token, float32; never holds [B, T, V]."""
    x = self.hidden(params, tokens, **kw)
    return loss.token_nll(x, params['embed']['embedding'], targets)

  def total_nll(
    self,
    params,
    tokens: Int[Array, 'B T'],
    targets: Int[Array, 'B T'],
    weights: Float[Array, 'B T'],
    **kw,
  ) -> Float[Array, '']:
    """sum of weights * nll, to train with: its gradient is made on the way."""
    x = self.hidden(params, tokens, **kw)
    return loss.total_nll(x, params['embed']['embedding'], targets, weights)


def logits(params: dict, x: Float[Array, '... D']) -> Float[Array, '... V']:
  """Next-token logits of hidden states, float32 or wider."""
  E = params['embed']['embedding']
  wide = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.einsum(
    '...d,vd->...v', x, E.astype(x.dtype), preferred_element_type=wide
  )


def make(V: int, **fields) -> Model:
  """The model of a config section, for a vocabulary of V.

  Raises:
    ValueError: sizes, names or hyperparameters that do not fit.
  """
  return _make(V, json.dumps(fields, sort_keys=True))


@functools.lru_cache(maxsize=16)
def _make(V: int, fields: str) -> Model:
  """One object for equal configs, so that what is compiled for it is shared."""
  c = Config(**json.loads(fields))
  encoding = rpe.get(c.rpe, c.H, **c.rpe_args)

  def build(key):
    return Transformer(c, V, encoding, nnx.Rngs(key))

  graph, _ = nnx.split(nnx.eval_shape(build, jax.random.key(0)), nnx.Param)

  def init(key):
    params = nnx.to_pure_dict(nnx.state(build(key), nnx.Param))
    wide = jnp.promote_types(DTYPES[c.dtype], jnp.float32)
    return jax.tree.map(lambda x: x.astype(wide), params)

  def hidden(
    params, tokens, *, key=None, positions=None, attend=None, add=operator.add
  ):
    if positions is None:
      positions = jnp.arange(tokens.shape[1])
    attend = attend or attention.attend
    x, seen = nnx.merge(graph, params)(tokens, positions, key, attend, add)
    return x if seen is None else (x, seen)

  return Model(
    config=c,
    V=V,
    encoding=encoding,
    init=jax.jit(init),
    hidden=hidden,
    rpe_params=lambda params: nnx.merge(graph, params).rpe_params(),
    bias=lambda params, T: nnx.merge(graph, params).bias(T),
  )


def unrolled(m: Model, params: dict) -> tuple[Model, dict]:
  """The same function without a scan: what happens in a layer can be seen."""
  if not m.config.scan:
    return m, params
  layers = {
    i: jax.tree.map(lambda x, i=i: x[i], params['layers'])
    for i in range(m.config.N)
  }
  return _with(m, scan=False), {**params, 'layers': layers}


def rolled(m: Model, params: dict) -> tuple[Model, dict]:
  """The same function as a scan over its layers: compiled once for all.

  XLA on a CPU may keep what unrolled layers write to alive all at once, which
  for long texts is most of the memory.
  """
  if m.config.scan:
    return m, params
  layers = [params['layers'][i] for i in range(m.config.N)]
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *layers)
  return _with(m, scan=True), {**params, 'layers': stacked}


def for_length(m: Model, params: dict, T: int) -> tuple[Model, dict]:
  """The same function, in the form that suits texts of T tokens."""
  return rolled(m, params) if T > LONG else (m, params)


def _with(m: Model, **changes) -> Model:
  return make(m.V, **dataclasses.asdict(m.config) | changes)
