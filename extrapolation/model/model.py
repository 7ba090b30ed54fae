"""A network together with its encodings, which make its bias."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from extrapolation import config, rpe
from extrapolation.config import spaces as config_spaces
from extrapolation.geometry import Size, derived
from extrapolation.model import space as spaces
from extrapolation.model.network import Network, Params, logits, network
from extrapolation.model.space import Space
from extrapolation.rpe import check

CHECKED = 64  # distances at which the bias of a user's record is looked at


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
      e.clock.is_index and e.score.is_plain and not np.any(e.heat.whole)
      for e in self.encodings
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

  def space(self, size: Size) -> Space:
    """The shape of a size as its encoder reads it; of pixels, in patches."""
    c = self.config
    return spaces.make(
      c.geometry,
      config_spaces.places(c, size),
      directed=self.network.directed,
      class_token=c.pool == 'cls',
    )

  def bias(
    self,
    params: Params,
    T: int,
    step: ArrayLike | None = None,
    space: Space | None = None,
  ) -> Any:
    """What attention adds, per layer.

    Log weight by layer, head and every distance below T, [N, H, T], or that is
    in a space; in its place, where distance is that of a clock, or no whole
    number, {params, step} of the function of distance: a dictionary with
    leading N, or a list of layers that differ.
    """
    distances = self._distances(T, space)
    step = self.step if step is None else step
    N, P = self.config.N, len(self.encodings)
    values = self._values(params)
    if P == 1:
      return _bias(self.encodings[0], values[0], distances, step, N)
    each = [
      _bias(e, v, distances, step, len(range(i, N, P)))
      for i, (e, v) in enumerate(zip(self.encodings, values, strict=True))
    ]
    layers = [rpe.of_layer(each[i % P], i // P) for i in range(N)]
    if any(isinstance(layer, dict) for layer in layers):
      return layers
    return jnp.stack(layers)

  def _distances(self, T: int, space: Space | None) -> Array | None:
    """Those of a table of T; None where they are no whole numbers."""
    if space is None:
      return derived.decoded(2 * T - 1) if self._both else jnp.arange(T)
    return space.distances if space.geometry.whole else None

  @property
  def _both(self) -> bool:
    """Whether a table without a space is one of two sides."""
    directed = self.network.directed
    return self.config.kind == 'encoder_decoder' and directed

  def _bias_of(self, params: Params, tokens: Array, kw: Mapping) -> Any:
    T = tokens.shape[1]
    if kw.get('source') is not None:
      T = max(T, kw['source'].shape[1])
    return self.bias(params, T, space=kw.get('space'))

  def hidden(self, params: Params, tokens: Int[Array, 'B T'], **kw: Any):
    """Hidden states [B, T, D], and what `attend` returns: `Network.hidden`."""
    bias = self._bias_of(params, tokens, kw)
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
    bias = self._bias_of(params, tokens, kw)
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
    bias = self._bias_of(params, tokens, kw)
    return self.network.total_nll(params, bias, tokens, targets, weights, **kw)


def _bias(
  encoding: rpe.RPE,
  values: rpe.Params,
  distances: Num[Array, ' n'] | None,
  step: ArrayLike,
  N: int,
) -> Any:
  """Of N layers with one encoding; `values` [1 or N, ...]."""
  rows = max([len(v) for v in values.values()], default=1)
  every = lambda x: jnp.broadcast_to(x, (N, *x.shape[1:]))  # noqa: E731
  if distances is None or not encoding.clock.is_index:
    step = jnp.full(N, step, jnp.int32)
    return dict(params={k: every(v) for k, v in values.items()}, step=step)
  distances = distances if encoding.directed else abs(distances)
  table = functools.partial(encoding.bias, distances)
  return every(jax.vmap(table, axis_size=rows)(values))


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
    encodings = _encodings(
      section.rpe, section.H, section.rpe_args, section.rpe_file
    )
  else:
    check.check(encoding, section.H, CHECKED)
    encodings = (encoding,)
  return _model(V, section, encodings, 0)


@functools.lru_cache(maxsize=32)
def _encodings(
  text: str, H: int, hyper: Mapping[str, Any], file: Mapping[str, Any]
) -> tuple[rpe.RPE, ...]:
  """The same records for equal arguments, so that models share programs."""
  del file  # of the user's own, by which records of one name differ
  return rpe.layers(text, H, **hyper)


def _form(c: config.Model, encoding: rpe.RPE) -> rpe.RPE:
  """What a network needs of an encoding: its bias only where it is no table."""
  if c.kind != 'encoder':
    return encoding.form
  g = config_spaces.of(c)
  form = encoding.form
  if not g.whole:
    form = replace(form, bias=encoding.bias)
  if len(g.axes) > 1 and 'rotate' in encoding.beside_bias:
    form = replace(form, rotate=spaces.axial(form.rotate, len(g.axes)))
  return form


@functools.lru_cache(maxsize=32)
def _model(
  V: int, c: config.Model, encodings: tuple[rpe.RPE, ...], step: int
) -> Model:
  forms = tuple(_form(c, e) for e in encodings)
  shared = network(V, c.network, forms)
  return Model(c, encodings, shared, step)


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
  return _model(m.V, section, m.encodings, m.step)
