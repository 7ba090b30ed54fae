"""An encoder measured: which distances its masked places really use.

The queries are the targets that an evaluation scores, and n(eps) is how many of
the nearest distances, 0 among them, hold all but a share eps. A distance that
is not whole counts as the next whole one.

  attention_mass   weights of attention of a target, by distance
  gradient         norm of d output / d embedding, by distance
  truncation       loss of a target when all places further away are hidden
  bias             weights of the bias alone, which is what theory knows
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from extrapolation import attention, config, data
from extrapolation.attention import window_bound
from extrapolation.model import Model, Network, Space, logits
from extrapolation.output import progress
from extrapolation.receptive_field import bootstrap
from extrapolation.receptive_field.estimators import (
  forward_pass,
  gradient,
  truncation,
)
from extrapolation.receptive_field.estimators.settings import Settings
from extrapolation.receptive_field.measure import Stopwatch
from extrapolation.runs import asked

TARGETS = 8  # of an example, unless --queries says how many
TIMES = 4  # the training size, of the size that is taken where none is given
FORWARD = 'N (T 2(4D^2 + 2DF) + 4D T^2) + 2 D V Q'
FORMULAS = dict(
  reference=FORWARD,
  gradient=f'2 Q ({FORWARD})',
  truncation=f'Q sum over radii of ({FORWARD})',
)


@dataclasses.dataclass(frozen=True)
class Measured:
  """What examples leave.

  Attributes:
    sums: over examples, of means over the targets of each.
    M: the largest |q.k| / sqrt K that any example allows.
    costs: operations and seconds, a row per estimator.
    targets: how many there were.
  """

  sums: bootstrap.Sums
  M: Float[np.ndarray, 'N H']
  costs: list[dict]
  targets: int


def check(e: config.Experiment) -> None:
  """Raises ValueError unless a run answers for places of one shape."""
  c = e.model
  if c.kind != 'encoder' or c.pool or c.patch:
    what = f'model.kind = {c.kind}'
    if c.kind == 'encoder':
      what += f' with model.pool = {c.pool!r}, model.patch = {c.patch}'
    raise ValueError(
      'a receptive field is of a decoder, or of an encoder that answers for '
      f'its cells, and this run is of {what}'
    )


def default_size(e: config.Experiment) -> str:
  """The largest size it is evaluated at, of at most four times the training."""
  most = TIMES * config.positions(e.model, e.train.size)
  of = {x: config.positions(e.model, x) for x in e.eval.sizes}
  fits = {x: n for x, n in of.items() if n <= most}
  return max(fits, key=lambda x: fits[x]) if fits else e.train.size


def distances(c: config.Model, size: str) -> int:
  """How many there are in a shape, 0 among them."""
  longest = config.geometry_of(c).longest(config.size(c, size, '--size'))
  return int(np.ceil(longest)) + 1


def examples(
  task: data.tasks.Task, e: config.Experiment, settings: Settings
) -> tuple[tuple[int, ...], int]:
  """The size that is read, and how many examples of it.

  Raises:
    ValueError: a size that the task cannot give, or less than one example; no
      such split.
  """
  if settings.split not in data.SPLITS:
    raise ValueError(
      f'--split={settings.split}: a task has {", ".join(data.SPLITS)}'
    )
  size = config.size(e.model, settings.size, '--size')
  task.check(size, asked.within(e))
  T = config.positions(e.model, settings.size)
  if settings.tokens < T:
    raise ValueError(
      f'--tokens={settings.tokens} is less than one example of '
      f'--size={settings.size}; raise it to {T} or more'
    )
  return size, settings.tokens // T


def measure(
  model: Model,
  params: dict,
  text: data.Drawn,
  e: config.Experiment,
  settings: Settings,
  label: str,
) -> Measured:
  """Reads examples of the evaluation, one after the other.

  Args:
    model, params: as `measure.plain` makes them.
    settings: `length` is that of `distances`.
  """
  size, W = examples(text.task, e, settings)
  least, space = asked.within(e), model.space(size)
  T, n = config.positions(e.model, settings.size), settings.length
  Q = min(settings.queries or TARGETS, T)
  bias = model.bias(params, T, space=space)
  rows = max(1, settings.batch_tokens // T)
  estimators = compiled(model.network, space, n, settings.output, rows)
  count = min(settings.recomputed or W, W)
  rerun = {round(i) for i in np.linspace(0, W - 1, count)}
  sums, M = bootstrap.Sums(W), np.zeros((model.config.N, model.config.H))
  used, targets = dict.fromkeys(estimators, 0), 0
  seconds, compiling = Stopwatch(), Stopwatch()

  def read(i: int) -> tuple[int, tuple]:
    """Targets of an example, and what the estimators read of it."""
    cells, _ = text.read([i], size, least, stream=settings.split)
    at = chosen(cells.weights[0], Q)
    args = jnp.asarray(cells.inputs), *_padded(at, cells, Q)
    return len(at), (params, bias, *args)

  for name, estimator in estimators.items():
    compiling(name, estimator, *read(0)[1])
  loop = progress.Loop(label, W, tokens=T)
  for i in range(W):
    few, args = read(i)
    index, targets = np.array([i]), targets + few
    mass, flat, most = seconds('reference', estimators['reference'], *args)
    slope = seconds('gradient', estimators['gradient'], *args)
    M = np.maximum(M, np.asarray(most))
    sums.add(
      index,
      attention_mass=np.asarray(mass)[None, ..., :few, :].mean(-2),
      bias=np.asarray(flat)[None, ..., :few, :].mean(-2),
      gradient=np.asarray(slope)[None, :few].mean(1),
    )
    used['reference'] += 1
    used['gradient'] += 1
    if i in rerun:
      nats = np.asarray(seconds('truncation', estimators['truncation'], *args))
      one = dict(truncation=nats[None, :few].mean(1), truncated=np.ones(1))
      sums.add(index, **one)
      used['truncation'] += 1
    loop.update(i + 1)
  loop.close()
  costs = _costs(model, T, Q, n, used, seconds, compiling)
  return Measured(sums, M, costs, targets)


def chosen(weights: Float[np.ndarray, ' T'], Q: int) -> Int[np.ndarray, ' q']:
  """Places of at most Q of the scored targets, evenly spaced among them."""
  scored = np.flatnonzero(weights)
  take = np.linspace(0, len(scored) - 1, min(Q, len(scored)))
  return scored[np.round(take).astype(int)]


def _padded(
  at: Int[np.ndarray, ' q'], cells: data.Cells, Q: int
) -> tuple[Array, Array]:
  """Places and answers of Q targets, the first ones again if there are less."""
  at = np.resize(at, Q)
  return jnp.asarray(at), jnp.asarray(cells.targets[0, at])


def _apart(
  space: Space, network: Network, at: Int[Array, ' Q']
) -> Int[Array, 'Q T']:
  """Distances of all places from some, whole numbers."""
  g, places = config.geometry_of(network.config), jnp.asarray(space.places)
  t = g.distance(places[at][:, None], places[None])
  return jnp.ceil(t).astype(jnp.int32)


def _by_distance(
  x: Float[Array, '*h Q T'], t: Int[Array, 'Q T'], n: int
) -> Float[Array, '*h Q n']:
  """Sums over the places at each distance of each target."""
  one = lambda x, t: jax.ops.segment_sum(x, t, num_segments=n)  # noqa: E731
  flat = x.reshape(-1, *t.shape)
  out = jax.vmap(jax.vmap(one), in_axes=(0, None))(flat, t)
  return out.reshape(*x.shape[:-1], n)


@functools.lru_cache(maxsize=8)
def compiled(
  network: Network, space: Space, n: int, output: str, rows: int
) -> dict[str, Callable]:
  """(params, bias, inputs [1, T], at [Q], targets [Q]) -> ..

  reference: mass by distance [N, H, Q, n], that of the bias, M [N, H].
  gradient: [Q, n], of sum 1 per target. truncation: nats [Q, contexts].
  """
  g = space.geometry
  weights = functools.partial(
    attention.attend_places_with_weights,
    length=g.table_length(space.size),
  )

  def attention_mass(
    params: dict, bias: Any, inputs: Array, at: Array, targets: Array
  ):
    del targets
    t = _apart(space, network, at)

    def attend(q: Array, k: Array, v: Array, bias: Any, layer: Any):
      o = space.attend(q, k, v, bias, layer)
      where = bias, g, jnp.asarray(space.places)[at], space.keys
      _, p = weights(q[:, at], k, v, *where)
      _, flat = weights(0 * q[:, at], k, v, *where)
      each = (_by_distance(x[0], t, n) for x in (p, flat))
      return o, (*each, window_bound.logit_bound(q, k)[0])

    return network.hidden(params, bias, inputs, space=space, attend=attend)[1]

  def slopes(params: dict, bias: Any, inputs: Array, at: Array, targets: Array):
    # Each place gets a row of the table of its own, to differentiate by.
    E = params['embed']['embedding'][inputs[0]]
    ids = jnp.arange(len(E))[None]

    def states(E: Array) -> Array:
      rows = {**params, 'embed': {'embedding': E}}
      return network.hidden(rows, bias, ids, space=space)[0, at]

    def total(x: Array) -> Array:
      return gradient.scalar(params, x, targets, output).sum()

    x, back = jax.vjp(states, E)
    each = jnp.eye(len(x))[..., None] * jax.grad(total)(x)  # [Q, Q, D]
    size = jax.lax.map(lambda g: jnp.linalg.norm(back(g)[0], axis=-1), each)
    share = size / size.sum(-1, keepdims=True)
    return _by_distance(share, _apart(space, network, at), n)

  return dict(
    reference=jax.jit(attention_mass),
    gradient=jax.jit(slopes),
    truncation=jax.jit(_cut(network, space, n, rows)),
  )


def _cut(network: Network, space: Space, n: int, rows: int) -> Callable:
  """Nats of each target by context, `rows` copies of the example at once."""
  contexts = truncation.contexts(n)

  def nats(
    params: dict, bias: Any, inputs: Array, at: Array, targets: Array
  ) -> Array:
    t = _apart(space, network, at)
    Q, C = len(at), len(contexts)
    most = jnp.tile(jnp.asarray(contexts), Q)
    row = jnp.repeat(jnp.arange(Q), C)
    left = -len(row) % rows
    row, most = (jnp.pad(x, (0, left), mode='edge') for x in (row, most))

    def part(rows_of: tuple[Array, Array]) -> Array:
      row, most = rows_of
      hidden = t[row] >= most[:, None]

      def attend(q: Array, k: Array, v: Array, bias: Any, layer: Any):
        del layer
        return attention.attend_places(
          q, k, v, bias, space.geometry, space.places, space.keys, hidden=hidden
        )

      same = jnp.broadcast_to(inputs, (rows, inputs.shape[1]))
      x = network.hidden(params, bias, same, space=space, attend=attend)
      x = x[jnp.arange(rows), at[row]]
      return forward_pass.nats(logits(params, x), targets[row])

    out = jax.lax.map(part, (row.reshape(-1, rows), most.reshape(-1, rows)))
    return out.ravel()[: Q * C].reshape(Q, C)

  return nats


def _costs(
  model: Model,
  T: int,
  Q: int,
  n: int,
  used: dict,
  seconds: Stopwatch,
  compiling: Stopwatch,
) -> list[dict]:
  """A row per estimator: examples, operations in one, seconds of all."""
  c = model.config
  layer = T * 2 * (4 * c.D**2 + 2 * c.D * c.F) + 4 * c.D * T**2
  one = c.N * layer + 2 * c.D * model.V * Q
  times = dict(
    reference=1, gradient=2 * Q, truncation=Q * len(truncation.contexts(n))
  )
  return [
    dict(
      estimator=name,
      windows=used[name],
      flops=times[name] * one,
      formula=FORMULAS[name],
      seconds=round(seconds.seconds.get(name, 0.0), 6),
      compiling=round(compiling.seconds[name], 3),
    )
    for name in FORMULAS
  ]
