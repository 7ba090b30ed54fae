"""The compiled parts of a run: birth of its state, a step, a validation."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict, FrozenConfigDict

from extrapolation import config, optim, parallel
from extrapolation import model as model_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The section `train` of a config; `config.base` says what each field is."""

  T: int
  B: int
  steps: int
  accumulate: int = 1
  log_every: int = 50
  valid_every: int = 0
  valid_tokens: int = 131_072
  checkpoint_every: int = 1000
  keep: int = 3
  keep_every: int = 0

  def __post_init__(self):
    for f in dataclasses.fields(self):
      low = 0 if f.name in ('valid_every', 'keep_every') else 1
      if getattr(self, f.name) < low:
        raise ValueError(
          f'train.{f.name} = {getattr(self, f.name)}: needs >= {low}'
        )
    if self.B % self.accumulate:
      raise ValueError(
        f'train.accumulate = {self.accumulate} does not divide '
        f'train.B = {self.B}'
      )

  def fit(self, layout: parallel.Layout) -> None:
    """Raises ValueError unless every device gets an equal part of a batch."""
    part = self.B // self.accumulate
    if part % layout.rows:
      of = f' in {self.accumulate} parts' if self.accumulate > 1 else ''
      near = next(n for n in range(layout.rows, 0, -1) if part % n == 0)
      raise ValueError(
        f'train.B = {self.B}{of} does not divide over the {layout.rows} '
        f'devices of parallel.data x parallel.fsdp ({layout}); set train.B to '
        f'a multiple of {layout.rows * self.accumulate}, or parallel.data so '
        f'that there are {near}'
      )
    seq = layout.mesh.shape['seq']
    if self.T % seq:
      raise ValueError(
        f'train.T = {self.T} does not divide over parallel.seq = {seq} '
        f'devices; set it to a multiple of {seq}'
      )


class State(NamedTuple):
  """What a step changes; all of it is in a checkpoint."""

  step: jax.Array
  params: dict
  opt: optax.OptState


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
  """The compiled parts of a run; runs that differ by seed alone share one.

  A batch is tokens [B, T + 1], or (tokens, weights [B, T]): means are over the
  weights of the whole batch, however they fall on devices.
  """

  model: model_lib.Model
  layout: parallel.Layout
  like: State  # shapes, dtypes and shardings
  init: Callable  # key -> State
  step: Callable  # (State, batch, key) -> (State, metrics)
  valid: Callable  # (params, batch) -> (weighted sum of nats, of weights)
  rpe: Callable  # params -> those of the encoding, in units of its formula


def program(c: ConfigDict, V: int) -> Program:
  """Builds, and so checks, all that the config's model and optimiser need."""
  parts = {k: c[k] for k in ('model', 'optim', 'train')}
  settings = parallel.Settings(
    **config.bind('parallel', parallel.Settings, c.parallel)
  )
  return _program(FrozenConfigDict(parts), V, parallel.layout(settings))


@functools.lru_cache(maxsize=8)
def _program(c: FrozenConfigDict, V: int, layout: parallel.Layout) -> Program:
  c = ConfigDict(c)
  settings = Settings(**config.bind('train', Settings, c.train))
  settings.fit(layout)
  model = model_lib.make(V, **config.bind('model', model_lib.Config, c.model))
  tx, rate = optim.make(
    settings.steps, **config.bind('optim', optim.make, c.optim)
  )

  def init(key):
    params = model.init(key)
    return State(jnp.zeros((), jnp.int32), params, tx.init(params))

  @jax.value_and_grad
  def loss(params, tokens, weights, key):
    key = key if model.config.dropout else None
    params = params | dict(embed=jax.tree.map(parallel.whole, params['embed']))
    return model.total_nll(params, *parallel.shifted(tokens), weights, key=key)

  def accumulated_loss(params, tokens, weights, key):
    """Loss and gradient of equal parts of the batch, one at a time."""
    n = settings.accumulate
    if n == 1:
      return loss(params, tokens, weights, key)

    def add(sums, part):
      return jax.tree.map(jnp.add, sums, loss(params, *part)), None

    tokens, weights = (x.reshape(n, -1, x.shape[-1]) for x in (tokens, weights))
    parts = (tokens, weights, jax.random.split(key, n))
    zero = (jnp.zeros((), weights.dtype), jax.tree.map(jnp.zeros_like, params))
    return jax.lax.scan(add, zero, parts)[0]

  def step(state, batch, key, *, axis):
    key = parallel.key(jax.random.fold_in(key, state.step), axis)
    tokens, weights = _weighted(batch, state.params)
    weights /= parallel.total(weights.sum(), axis)
    sums = accumulated_loss(state.params, tokens, weights, key)
    mean, grads = parallel.total(sums, axis)
    updates, opt = tx.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = dict(
      loss=mean,
      grad_norm=optax.tree.norm(grads),
      param_norm=optax.tree.norm(params),
      lr=rate(state.step),
    )
    return State(state.step + 1, params, opt), metrics

  def valid(params, batch, *, axis):
    tokens, weights = _weighted(batch, params)
    nats = jnp.sum(weights * model.nll(params, *parallel.shifted(tokens)))
    return parallel.total((nats, weights.sum()), axis)

  like = layout.like(init, jax.random.key(0))
  return Program(
    model,
    layout,
    like,
    layout.born(init, like),
    layout.compile(step, like, donate=True),
    layout.compile(valid),
    layout.everywhere(model.rpe_params),
  )


def _weighted(batch, params):
  """(tokens, weights); tokens alone weigh the same."""
  if isinstance(batch, tuple):
    return batch
  dtype = params['embed']['embedding'].dtype
  return batch, jnp.ones((batch.shape[0], batch.shape[1] - 1), dtype)
