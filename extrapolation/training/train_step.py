"""The compiled parts of a run: initial state, a step, a validation step."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from extrapolation import config, model
from extrapolation.parallel import mesh
from extrapolation.training import optimizer


class State(NamedTuple):
  """What a step changes; all of it is in a checkpoint."""

  step: jax.Array
  params: dict
  opt: optax.OptState


@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
  """The compiled parts of a run.

  A batch is tokens [B, T + 1], or (tokens, weights [B, T]): means are over the
  weights of the whole batch, however they fall on devices. `bias` is the table
  [N, H, T] of an encoding that is not learned, else None (`bias_table`).
  """

  model: model.Model
  layout: mesh.Layout
  abstract_state: State  # shapes, dtypes and shardings
  init: Callable  # key -> State
  step: Callable  # (State, batch, key, bias) -> (State, metrics)
  eval_step: Callable  # (params, batch, bias) -> (weighted sum of nats, of w)
  rpe_params: Callable  # params -> those of the encoding, as in its formula
  bias_table: Callable  # params -> the table, or None if it is learned


def check_batch(train: config.Train, layout: mesh.Layout) -> None:
  """Raises ValueError unless every device gets an equal part of a batch."""
  part, shards = train.B // train.accumulate, layout.batch_shards
  if part % shards:
    of = f' in {train.accumulate} parts' if train.accumulate > 1 else ''
    near = next(n for n in range(shards, 0, -1) if part % n == 0)
    raise ValueError(
      f'train.B = {train.B}{of} does not divide over the {shards} '
      f'devices of parallel.data x parallel.fsdp ({layout}); set train.B to '
      f'a multiple of {shards * train.accumulate}, or parallel.data so '
      f'that there are {near}'
    )
  seq = layout.mesh.shape['seq']
  if train.T % seq:
    raise ValueError(
      f'train.T = {train.T} does not divide over parallel.seq = {seq} '
      f'devices; set it to a multiple of {seq}'
    )


def make(e: config.Experiment, V: int) -> TrainStep:
  """The compiled parts of an experiment, for a vocabulary of V.

  Experiments share what is compiled unless they differ in the network, the
  optimiser, the number of steps, the accumulation or the layout, or in a bias
  that is learned.

  Raises:
    ValueError: a layout that does not fit the devices or the batch.
  """
  layout = mesh.layout(e.parallel)
  check_batch(e.train, layout)
  m = model.make(V, e.model)
  own = m if m.encoding.learned else None
  compiled = _compiled(
    m.network, own, e.optim, e.train.steps, e.train.accumulate, layout
  )
  return TrainStep(m, layout, *compiled, *_readers(m, e.train.T, layout))


@functools.lru_cache(maxsize=64)
def _readers(
  m: model.Model, T: int, layout: mesh.Layout
) -> tuple[Callable, Callable]:
  """rpe_params and bias_table."""
  rpe_params = layout.jit_replicated(m.rpe_params)
  if m.encoding.learned:
    return rpe_params, lambda params: None
  bias = layout.jit_replicated(lambda params: m.bias(params, T))
  if layout.mode == 'jit':
    return rpe_params, bias
  return rpe_params, lambda params: np.asarray(bias(params))  # pmap places it


@functools.lru_cache(maxsize=16)
def _compiled(
  network: model.Network,
  own: model.Model | None,
  optim: config.Optim,
  steps: int,
  accumulate: int,
  layout: mesh.Layout,
) -> tuple[State, Callable, Callable, Callable]:
  """abstract_state, init, step and eval_step; `own` has a learned bias."""
  tx, learning_rate = optimizer.make(steps, optim)

  def init(key: PRNGKeyArray) -> State:
    params = network.init(key)
    return State(jnp.zeros((), jnp.int32), params, tx.init(params))

  def bias_of(params: dict, bias: Array | None, T: int) -> Array:
    if own is not None:
      return own.bias(params, T)
    assert bias is not None  # `bias_table` made it
    return bias

  @jax.value_and_grad
  def loss(
    params: dict,
    tokens: Array,
    weights: Array,
    key: PRNGKeyArray,
    bias: Array | None,
  ) -> Array:
    dropout = key if network.config.dropout else None
    params = params | dict(embed=jax.tree.map(mesh.replicate, params['embed']))
    bias = bias_of(params, bias, tokens.shape[1] - 1)
    return network.total_nll(
      params, bias, *mesh.shifted(tokens), weights, key=dropout
    )

  def accumulated_loss(
    params: dict,
    tokens: Array,
    weights: Array,
    key: PRNGKeyArray,
    bias: Array | None,
  ) -> tuple[Array, dict]:
    """Loss and gradient of equal parts of the batch, one at a time."""
    if accumulate == 1:
      return loss(params, tokens, weights, key, bias)

    def add(sums: Any, part: Any) -> tuple[Any, None]:
      return jax.tree.map(jnp.add, sums, loss(params, *part, bias)), None

    tokens, weights = (
      x.reshape(accumulate, -1, x.shape[-1]) for x in (tokens, weights)
    )
    parts = (tokens, weights, jax.random.split(key, accumulate))
    zero = (jnp.zeros((), weights.dtype), jax.tree.map(jnp.zeros_like, params))
    return jax.lax.scan(add, zero, parts)[0]

  def step(
    state: State,
    batch: Any,
    key: PRNGKeyArray,
    bias: Array | None,
    *,
    axis: str | None,
  ) -> tuple[State, dict]:
    key = mesh.fold_in_axis(jax.random.fold_in(key, state.step), axis)
    tokens, weights = _weighted(batch, state.params)
    weights /= mesh.psum(weights.sum(), axis)
    sums = accumulated_loss(state.params, tokens, weights, key, bias)
    mean, grads = mesh.psum(sums, axis)
    updates, opt = tx.update(grads, state.opt, state.params)
    params: Any = optax.apply_updates(state.params, updates)
    metrics = dict(
      loss=mean,
      grad_norm=optax.tree.norm(grads),
      param_norm=optax.tree.norm(params),
      lr=learning_rate(state.step),
    )
    return State(state.step + 1, params, opt), metrics

  def eval_step(
    params: dict, batch: Any, bias: Array | None, *, axis: str | None
  ) -> tuple[Array, Array]:
    tokens, weights = _weighted(batch, params)
    bias = bias_of(params, bias, tokens.shape[1] - 1)
    nll = network.nll(params, bias, *mesh.shifted(tokens))
    return mesh.psum((jnp.sum(weights * nll), weights.sum()), axis)

  abstract_state = layout.abstract_state(init, jax.random.key(0))
  return (
    abstract_state,
    layout.init_sharded(init, abstract_state),
    layout.compile(step, abstract_state, donate=True),
    layout.compile(eval_step),
  )


def _weighted(batch: Any, params: dict) -> tuple[jax.Array, jax.Array]:
  """(tokens, weights); tokens alone weigh the same."""
  if isinstance(batch, tuple):
    return batch
  dtype = params['embed']['embedding'].dtype
  return batch, jnp.ones((batch.shape[0], batch.shape[1] - 1), dtype)
