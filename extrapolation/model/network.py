"""Transformers as records of pure functions of a dictionary of parameters.

A `Network` takes its bias as an argument, so that encodings which differ in a
table of numbers alone share what is compiled; a `Model` is a network together
with its encoding, which makes that table.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from extrapolation import attention, config, rpe
from extrapolation.model import cross_entropy
from extrapolation.model.transformer import FFN_CHUNK, Transformer
from extrapolation.rpe import check

CHECKED = 64  # distances at which the bias of a user's record is looked at

Params = dict


@dataclass(frozen=True, eq=False)
class Network:
  """A transformer without its bias, as pure functions of `params`.

  Attributes:
    config: its section: sizes and the way it is computed.
    V: size of the vocabulary.
    form: the encoding but for its bias (`RPE.form`).
    init: `key -> params`, a nested dictionary of float32 arrays, or wider.
  """

  config: config.Network
  V: int
  form: rpe.RPE
  init: Callable[[PRNGKeyArray], Params]
  graph: nnx.GraphDef

  def hidden(
    self,
    params: Params,
    bias: Float[Array, 'N H n'],
    tokens: Int[Array, 'B T'],
    *,
    key: PRNGKeyArray | None = None,
    positions: Int[Array, ' T'] | None = None,
    attend: Callable | None = None,
    add: Callable = operator.add,
  ):
    """Hidden states [B, T, D] after the last norm.

    Args:
      bias: log weight by layer, head and distance, n >= T.
      key: turns dropout on.
      positions: of the tokens; 0 .. T - 1 by default.
      attend: `(q, k, v, bias, layer) -> o` in place of attention, to read its
        probabilities or to decode from a cache. It may answer for the last
        queries alone, with which the network then goes on, and return (o,
        arrays): then so does `hidden`, the arrays stacked over layers.
      add: in place of the sum of the residual and an attention's output.
    """
    if positions is None:
      positions = jnp.arange(tokens.shape[1])
    module = nnx.merge(self.graph, params)
    attend = attend or _attend
    x, seen = module(tokens, bias, positions, key, attend, add)
    return x if seen is None else (x, seen)

  def nll(
    self,
    params: Params,
    bias: Float[Array, 'N H n'],
    tokens: Int[Array, 'B T'],
    targets: Int[Array, 'B T'],
    **kw: Any,
  ) -> Float[Array, 'B T']:
    """-ln p(target), nats per token, float32; never holds [B, T, V]."""
    x = self.hidden(params, bias, tokens, **kw)
    return token_nll(params, x, targets)

  def total_nll(
    self,
    params: Params,
    bias: Float[Array, 'N H n'],
    tokens: Int[Array, 'B T'],
    targets: Int[Array, 'B T'],
    weights: Float[Array, 'B T'],
    **kw: Any,
  ) -> Float[Array, '']:
    """sum of weights * nll, to train with: its gradient is made on the way."""
    x = self.hidden(params, bias, tokens, **kw)
    return cross_entropy.total_nll(
      x, params['embed']['embedding'], targets, weights
    )


@dataclass(frozen=True, eq=False)
class Model:
  """A network and its encoding; each method is the network's with its bias.

  Attributes:
    config: its section of a config.
    encoding: the record that `config.rpe` names, or one of your own.
    network: what all encodings of its form share.
  """

  config: config.Model
  encoding: rpe.RPE
  network: Network

  @property
  def V(self) -> int:
    """Size of the vocabulary."""
    return self.network.V

  @property
  def init(self) -> Callable[[PRNGKeyArray], Params]:
    """`key -> params`."""
    return self.network.init

  def rpe_params(self, params: Params) -> rpe.Params:
    """The encoding's parameters in the units of its formula, [1 or N, ...]."""
    raw = params['rpe'] if self.encoding.learned else {}
    return jax.vmap(self.encoding.constrain, axis_size=self._rows)(raw)

  def rpe_rows(self, params: Params) -> list[rpe.Params]:
    """`rpe_params` of every row by itself."""
    values = self.rpe_params(params)
    return [{k: v[i] for k, v in values.items()} for i in range(self._rows)]

  def bias(self, params: Params, T: int) -> Float[Array, 'N H T']:
    """Log weight by layer, head and every distance below T."""
    table = functools.partial(self.encoding.bias, jnp.arange(T))
    bias = jax.vmap(table, axis_size=self._rows)(self.rpe_params(params))
    return jnp.broadcast_to(bias, (self.config.N, *bias.shape[1:]))

  @property
  def _rows(self) -> int:
    return self.config.N if self.config.rpe_per_layer else 1

  def hidden(self, params: Params, tokens: Int[Array, 'B T'], **kw: Any):
    """Hidden states [B, T, D], and what `attend` returns: `Network.hidden`."""
    bias = self.bias(params, tokens.shape[1])
    return self.network.hidden(params, bias, tokens, **kw)

  def logits(
    self, params: Params, tokens: Int[Array, 'B T'], **kw: Any
  ) -> Float[Array, 'B T V']:
    """Next-token logits, float32 or wider."""
    return logits(params, self.hidden(params, tokens, **kw))

  def nll(
    self,
    params: Params,
    tokens: Int[Array, 'B T'],
    targets: Int[Array, 'B T'],
    **kw: Any,
  ) -> Float[Array, 'B T']:
    """-ln p(target), nats per token: `Network.nll`."""
    bias = self.bias(params, tokens.shape[1])
    return self.network.nll(params, bias, tokens, targets, **kw)

  def total_nll(
    self,
    params: Params,
    tokens: Int[Array, 'B T'],
    targets: Int[Array, 'B T'],
    weights: Float[Array, 'B T'],
    **kw: Any,
  ) -> Float[Array, '']:
    """sum of weights * nll, to train with: `Network.total_nll`."""
    bias = self.bias(params, tokens.shape[1])
    return self.network.total_nll(params, bias, tokens, targets, weights, **kw)


def _attend(q: Array, k: Array, v: Array, bias: Array, layer: Any) -> Array:
  del layer
  return attention.attend(q, k, v, bias)


def logits(params: Params, x: Float[Array, '... D']) -> Float[Array, '... V']:
  """Next-token logits of hidden states, float32 or wider."""
  E = params['embed']['embedding']
  wide = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.einsum(
    '...d,vd->...v', x, E.astype(x.dtype), preferred_element_type=wide
  )


def token_nll(
  params: Params, x: Float[Array, 'B T D'], targets: Int[Array, 'B T']
) -> Float[Array, 'B T']:
  """-ln p(target) of hidden states, nats per token, float32."""
  E = params['embed']['embedding']
  return cross_entropy.token_nll(x, E, targets)


@functools.lru_cache(maxsize=32)
def make(
  V: int, section: config.Model, encoding: rpe.RPE | None = None
) -> Model:
  """The model of a config section, for a vocabulary of V; one for equal ones.

  Args:
    encoding: in place of the one that the section names, a record of your own
      for `section.H` heads.

  Raises:
    ValueError: hyperparameters that the encoding cannot take, or a record
      whose bias is none (`rpe.check`).
  """
  if encoding is None:
    encoding = rpe.get(section.rpe, section.H, **section.rpe_args)
  else:
    check.check(encoding, section.H, CHECKED)
  shared = network(V, section.network, encoding.form)
  return Model(section, encoding, shared)


@functools.lru_cache(maxsize=32)
def network(V: int, section: config.Network, form: rpe.RPE) -> Network:
  """The network of a form of encodings; one object for equal arguments."""

  def build(key: PRNGKeyArray) -> Transformer:
    return Transformer(section, V, form, nnx.Rngs(key))

  graph, _ = nnx.split(nnx.eval_shape(build, jax.random.key(0)), nnx.Param)

  def init(key: PRNGKeyArray) -> Params:
    params = nnx.to_pure_dict(nnx.state(build(key), nnx.Param))
    wide = jnp.promote_types(section.dtype, jnp.float32)
    return jax.tree.map(lambda x: x.astype(wide), params)

  return Network(section, V, form, jax.jit(init), graph)


def unrolled(m: Model, params: Params) -> tuple[Model, Params]:
  """The same function without scan and remat.

  What `attend` sees may then leave the layer: neither traces it again.
  """
  if m.config.scan:
    layers = {
      i: jax.tree.map(lambda x, i=i: x[i], params['layers'])
      for i in range(m.config.N)
    }
    params = {**params, 'layers': layers}
  section = replace(m.config, scan=False, remat=False)
  return make(m.V, section, m.encoding), params


def for_length(n: Network, params: Params, T: int) -> tuple[Network, Params]:
  """The same function, in the form that suits texts of T tokens.

  Long ones are a scan over layers: XLA on a CPU may keep what unrolled layers
  write to alive all at once, which is most of the memory.
  """
  if n.config.scan or T <= FFN_CHUNK:
    return n, params
  layers = [params['layers'][i] for i in range(n.config.N)]
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *layers)
  scanned = network(n.V, replace(n.config, scan=True), n.form)
  return scanned, {**params, 'layers': stacked}
