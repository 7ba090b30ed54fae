"""Transformers as records of pure functions of a dictionary of parameters.

A `Network` takes its bias as an argument, so that encodings which differ in a
table of numbers alone share what is compiled; a `Model` (model.py) is a network
together with its encodings, which make that table.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from extrapolation import attention, config, rpe
from extrapolation.geometry import derived
from extrapolation.model import cross_entropy
from extrapolation.model import space as spaces
from extrapolation.model.space import Space
from extrapolation.model.transformer import FFN_CHUNK, Transformer
from extrapolation.parts.inputs import Inputs, index_in_document, previous_ids

Params = dict


@dataclass(frozen=True, eq=False)
class Network:
  """A transformer without its bias, as pure functions of `params`.

  Attributes:
    config: its section: sizes and the way it is computed.
    V: size of the vocabulary.
    forms: the encodings but for their tables (`RPE.form`); layers take turns.
    init: `key -> params`, a nested dictionary of float32 arrays, or wider.
  """

  config: config.Network
  V: int
  forms: tuple[rpe.RPE, ...]
  init: Callable[[PRNGKeyArray], Params]
  graph: nnx.GraphDef

  def hidden(
    self,
    params: Params,
    bias: Any,
    tokens: Int[Array, 'B T'],
    *,
    key: PRNGKeyArray | None = None,
    space: Space | None = None,
    source: Int[Array, 'B S'] | None = None,
    positions: Int[Array, '*B T'] | None = None,
    documents: Int[Array, 'B T'] | None = None,
    previous: Int[Array, 'B T'] | None = None,
    clock_key: PRNGKeyArray | None = None,
    attend: Callable | None = None,
    add: Callable = operator.add,
  ):
    """Hidden states [B, T, D] after the last norm.

    Args:
      bias: log weight by layer, head and distance [N, H, n], n >= T; or what
        `Model.bias` gives in its place where distance is that of a clock.
      key: turns dropout on.
      space: shape that an encoder reads: `Model.space`; static under `jit`.
      source: tokens that the encoder of an encoder-decoder reads.
      positions: of the tokens in their documents; 0 .. T - 1 by default.
      documents: numbers; no token attends to one of another document.
      previous: ids of the tokens before; from `tokens` by default.
      clock_key: randomness of clocks that draw positions, in training.
      attend: `(q, k, v, bias, layer, **clock_and_heat) -> o` in place of
        attention, to read its probabilities or to decode from a cache. It may
        answer for the last queries alone, with which the network then goes
        on, and return (o, arrays): then so does `hidden`, the arrays stacked
        over layers.
      add: in place of the sum of the residual and an attention's output.
    """
    module = nnx.merge(self.graph, params)
    if self.config.kind != 'decoder':
      return self._in_space(module, bias, tokens, key, space, source, attend)
    seen = {} if documents is None else dict(documents=documents)
    if positions is None:
      positions = (
        jnp.arange(tokens.shape[1])
        if documents is None
        else index_in_document(documents)
      )
    if previous is None:
      previous = previous_ids(tokens, positions)
    inputs = Inputs(positions=positions, previous=previous, key=clock_key)
    attend = attend or _attend
    x, arrays = module(tokens, bias, inputs, key, attend, add, **seen)
    return x if arrays is None else (x, arrays)

  def _in_space(
    self,
    module: Transformer,
    bias: Any,
    tokens: Array,
    key: PRNGKeyArray | None,
    space: Space | None,
    source: Array | None,
    attend: Callable | None,
  ):
    """`hidden` of an encoder, or of a decoder that reads one."""
    c = self.config
    if c.kind == 'encoder':
      if space is None:
        raise ValueError(
          'an encoder reads a shape: give space=model.space(size)'
        )
      x, arrays = _encoded(module, bias, tokens, key, space, attend)
      if c.pool:
        x = x[:, :1] if c.pool == 'cls' else x.mean(1, keepdims=True)
      return x if arrays is None else (x, arrays)
    if source is None:
      raise ValueError('an encoder-decoder reads a text: give source=[B, S]')
    assert module.encoder is not None
    (T, S), directed = (tokens.shape[1], source.shape[1]), self.directed
    inner = spaces.make('both', (S,), directed=directed)
    memory, _ = _encoded(module.encoder, bias, source, key, inner, attend)
    if directed:  # the side before a query is all that a decoder has
      bias = bias[..., derived.coded(np.arange(max(T, S)))]
    clock = c.cross
    between = spaces.across('forward' if clock == 'none' else clock, T, S)

    def read(q: Array, of_memory: Callable, bias: Any) -> Array:
      k, v = jnp.moveaxis(of_memory(memory), 2, 0)
      return between.attend(q, k, v, None if clock == 'none' else bias)

    positions = jnp.arange(T)
    inputs = Inputs(
      positions=positions, previous=previous_ids(tokens, positions)
    )
    key = None if key is None else jax.random.fold_in(key, 1)
    x, _ = module(tokens, bias, inputs, key, _attend, operator.add, read=read)
    return x

  @property
  def directed(self) -> bool:
    """Whether its bias tells the sides of a query apart."""
    return any(form.directed for form in self.forms)

  def nll(
    self,
    params: Params,
    bias: Any,
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
    bias: Any,
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


def _encoded(
  module: Transformer,
  bias: Any,
  tokens: Array,
  key: PRNGKeyArray | None,
  space: Space,
  attend: Callable | None,
) -> tuple[Float[Array, 'B T D'], Any]:
  inputs = Inputs(
    positions=jnp.asarray(space.positions), visible=jnp.asarray(space.visible)
  )
  attend = attend or space.attend
  return module(tokens, bias, inputs, key, attend, operator.add, space=space)


def _attend(
  q: Array, k: Array, v: Array, bias: Any, layer: Any, **clock_and_heat: Any
) -> Array:
  del layer
  return attention.attend(q, k, v, bias, **clock_and_heat)


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
def network(
  V: int, section: config.Network, forms: tuple[rpe.RPE, ...]
) -> Network:
  """The network of a form of encodings; one object for equal arguments."""

  def build(key: PRNGKeyArray) -> Transformer:
    return Transformer(section, V, forms, nnx.Rngs(key))

  graph, _ = nnx.split(nnx.eval_shape(build, jax.random.key(0)), nnx.Param)

  def init(key: PRNGKeyArray) -> Params:
    params = nnx.to_pure_dict(nnx.state(build(key), nnx.Param))
    wide = jnp.promote_types(section.dtype, jnp.float32)
    return jax.tree.map(lambda x: x.astype(wide), params)

  return Network(section, V, forms, jax.jit(init), graph)


def for_length(n: Network, params: Params, T: int) -> tuple[Network, Params]:
  """The same function, in the form that suits texts of T tokens.

  Long ones are a scan over layers: XLA on a CPU may keep what unrolled layers
  write to alive all at once, which is most of the memory.
  """
  decoder = n.config.kind == 'decoder'
  if n.config.scan or T <= FFN_CHUNK or len(n.forms) > 1 or not decoder:
    return n, params
  layers = [params['layers'][i] for i in range(n.config.N)]
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *layers)
  scanned = network(n.V, replace(n.config, scan=True), n.forms)
  return scanned, {**params, 'layers': stacked}
