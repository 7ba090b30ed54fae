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
import numpy as np
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from extrapolation import attention, config, rpe
from extrapolation.model import cross_entropy
from extrapolation.model.transformer import FFN_CHUNK, Transformer
from extrapolation.parts.inputs import Inputs, index_in_document, previous_ids
from extrapolation.rpe import check

CHECKED = 64  # distances at which the bias of a user's record is looked at

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
    module = nnx.merge(self.graph, params)
    attend = attend or _attend
    x, arrays = module(tokens, bias, inputs, key, attend, add, **seen)
    return x if arrays is None else (x, arrays)

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


@dataclass(frozen=True, eq=False)
class Model:
  """A network and its encoding; each method is the network's with its bias.

  Attributes:
    config: its section of a config.
    encodings: the records that `config.rpe` names, or yours; layers take turns.
    network: what all encodings of its form share.
    step: training steps made, for a clock that changes with them.
  """

  config: config.Model
  encodings: tuple[rpe.RPE, ...]
  network: Network
  step: int = 0

  @property
  def V(self) -> int:
    """Size of the vocabulary."""
    return self.network.V

  @property
  def init(self) -> Callable[[PRNGKeyArray], Params]:
    """`key -> params`."""
    return self.network.init

  @property
  def has_table(self) -> bool:
    """Whether its bias is a table of numbers that no parameter changes."""
    return all(e.clock.is_index and not e.learned for e in self.encodings)

  @property
  def by_distance(self) -> bool:
    """Whether log weight is q.k plus a function of i - j, and no more.

    A heat of q.k alone is in q.
    """
    return all(
      e.clock.is_index and not np.any(e.heat.whole) for e in self.encodings
    )

  @property
  def encoding(self) -> rpe.RPE:
    """The encoding of all layers.

    Raises:
      ValueError: layers have several.
    """
    if len(self.encodings) > 1:
      raise ValueError(
        f'model.rpe = {self.config.rpe}: layers take turns in '
        f'{len(self.encodings)} encodings, and this reads one for all layers'
      )
    return self.encodings[0]

  def rpe_params(self, params: Params) -> rpe.Params:
    """Parameters in the units of the formula, [1 or N, ...].

    Of several encodings that take turns: NAME_0, NAME_1 ...
    """
    values = self._values(params)
    if len(values) == 1:
      return values[0]
    return {f'{k}_{i}': v for i, p in enumerate(values) for k, v in p.items()}

  def rpe_rows(self, params: Params) -> list[tuple[rpe.RPE, rpe.Params]]:
    """Every encoding with every row of its parameters."""
    c, pairs = self.config, []
    values = self._values(params)
    for i, (encoding, value) in enumerate(
      zip(self.encodings, values, strict=True)
    ):
      rows = len(range(i, c.N, len(values))) if c.rpe_per_layer else 1
      for row in range(rows):
        pairs.append((encoding, {k: v[row] for k, v in value.items()}))
    return pairs

  def rpe_by_layer(self, params: Params) -> list[tuple[rpe.RPE, rpe.Params]]:
    """The encoding of each of N layers with its own parameters."""
    c, turns = self.config, len(self.encodings)
    values = self._values(params)
    pairs = []
    for i in range(c.N):
      row = i // turns if c.rpe_per_layer else 0
      own = {k: v[row] for k, v in values[i % turns].items()}
      pairs.append((self.encodings[i % turns], own))
    return pairs

  def _values(self, params: Params) -> list[rpe.Params]:
    c = self.config
    raw = params.get('rpe', {})
    return rpe.rows(self.encodings, raw, c.N, c.rpe_per_layer)

  def bias(self, params: Params, T: int, step: ArrayLike | None = None) -> Any:
    """What attention adds, per layer.

    Log weight by layer, head and every distance below T, [N, H, T]; in its
    place, where distance is that of a clock, {params, step} of the function
    of distance: a dictionary with leading N, or a list of layers that differ.
    """
    step = self.step if step is None else step
    N, P = self.config.N, len(self.encodings)
    values = self._values(params)
    if P == 1:
      return _bias(self.encodings[0], values[0], T, step, N)
    each = [
      _bias(e, v, T, step, len(range(i, N, P)))
      for i, (e, v) in enumerate(zip(self.encodings, values, strict=True))
    ]
    layers = [rpe.of_layer(each[i % P], i // P) for i in range(N)]
    if any(isinstance(layer, dict) for layer in layers):
      return layers
    return jnp.stack(layers)

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


def _bias(
  encoding: rpe.RPE, values: rpe.Params, T: int, step: ArrayLike, N: int
) -> Any:
  """Of N layers with one encoding; `values` [1 or N, ...]."""
  rows = max([len(v) for v in values.values()], default=1)
  every = lambda x: jnp.broadcast_to(x, (N, *x.shape[1:]))  # noqa: E731
  if not encoding.clock.is_index:
    step = jnp.full(N, step, jnp.int32)
    return dict(params={k: every(v) for k, v in values.items()}, step=step)
  table = functools.partial(encoding.bias, jnp.arange(T))
  return every(jax.vmap(table, axis_size=rows)(values))


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
    encodings = rpe.layers(section.rpe, section.H, **section.rpe_args)
  else:
    check.check(encoding, section.H, CHECKED)
    encodings = (encoding,)
  return _model(V, section, encodings)


def _model(V: int, c: config.Model, encodings: tuple[rpe.RPE, ...]) -> Model:
  shared = network(V, c.network, tuple(e.form for e in encodings))
  return Model(c, encodings, shared)


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
  return computed_as(m, scan=False, remat=False), params


def computed_as(m: Model, **changes: Any) -> Model:
  """The same encodings and step, with other keys of the section `model`."""
  section = replace(m.config, **changes)
  return replace(_model(m.V, section, m.encodings), step=m.step)


def for_length(n: Network, params: Params, T: int) -> tuple[Network, Params]:
  """The same function, in the form that suits texts of T tokens.

  Long ones are a scan over layers: XLA on a CPU may keep what unrolled layers
  write to alive all at once, which is most of the memory.
  """
  if n.config.scan or T <= FFN_CHUNK or len(n.forms) > 1:
    return n, params
  layers = [params['layers'][i] for i in range(n.config.N)]
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *layers)
  scanned = network(n.V, replace(n.config, scan=True), n.forms)
  return scanned, {**params, 'layers': stacked}
