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

from extrapolation import config, data, model
from extrapolation.parallel import mesh
from extrapolation.training import optimizer


class State(NamedTuple):
  """What a step changes; all of it is in a checkpoint."""

  step: jax.Array
  params: dict
  opt: optax.OptState


class Batch(NamedTuple):
  """What a step reads; see `TrainStep`.

  Without targets, tokens are [B, T + 1]: inputs, and targets one later.
  """

  tokens: jax.Array
  weights: jax.Array
  documents: jax.Array | None = None
  targets: jax.Array | None = None
  source: jax.Array | None = None

  def pair(self) -> tuple[jax.Array, jax.Array]:
    """Inputs and targets."""
    if self.targets is None:
      return mesh.shifted(self.tokens)
    return mesh.constrain(self.tokens), mesh.constrain(self.targets)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
  """The compiled parts of a run.

  A batch is tokens [B, T + 1], (tokens, weights [B, T]), or (tokens, weights,
  documents [B, T]), in which an input sees its own document alone; or
  `data.Cells`, of a task. Means are over the weights of the whole batch,
  however they fall on devices. `bias` is the table [N, H, T] of an encoding
  that is not learned, else None (`bias_table`).
  """

  model: model.Model
  layout: mesh.Layout
  abstract_state: State  # shapes, dtypes and shardings
  init: Callable  # key -> State
  step: Callable  # (State, batch, key, bias) -> (State, metrics)
  # (params, batch, bias, step) -> (weighted sum of nats, of w)
  eval_step: Callable
  # the same -> (.., .., sum of w where the target has the largest logit); holds
  # all logits
  answer_step: Callable
  rpe_params: Callable  # params -> those of the encoding, as in its formula
  # params -> the table, or None if it is learned, or read at a clock's distance
  bias_table: Callable


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
  own = None if m.has_table else m
  size = config.size(e.model, e.train.size) if e.train.size else None
  space = m.space(size) if size and e.model.kind == 'encoder' else None
  compiled = _compiled(
    m.network, own, e.optim, e.train.steps, e.train.accumulate, layout, space
  )
  return TrainStep(m, layout, *compiled, *_readers(m, e.train.T, layout, space))


@functools.lru_cache(maxsize=64)
def _readers(
  m: model.Model, T: int, layout: mesh.Layout, space: model.Space | None
) -> tuple[Callable, Callable]:
  """rpe_params and bias_table."""
  rpe_params = layout.jit_replicated(m.rpe_params)
  if not m.has_table:
    return rpe_params, lambda params: None
  bias = layout.jit_replicated(lambda params: m.bias(params, T, space=space))
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
  space: model.Space | None,
) -> tuple[State, Callable, Callable, Callable, Callable]:
  """abstract_state, init, step, eval_step, answer_step.

  `own` has a bias of its own.
  """
  tx, learning_rate = optimizer.make(steps, optim)

  def init(key: PRNGKeyArray) -> State:
    params = network.init(key)
    return State(jnp.zeros((), jnp.int32), params, tx.init(params))

  def seen(batch: Batch) -> dict[str, Any]:
    """What inputs are read with."""
    if batch.targets is None:
      return dict(documents=batch.documents)
    return dict(space=space, source=batch.source)

  def bias_of(
    params: dict, bias: Array | None, T: int, steps_made: Array
  ) -> Any:
    if own is not None:
      return own.bias(params, T, steps_made, space)
    assert bias is not None  # `bias_table` made it
    return bias

  @jax.value_and_grad
  def loss(
    params: dict,
    batch: Batch,
    key: PRNGKeyArray,
    bias: Array | None,
    steps_made: Array,
  ) -> Array:
    inputs, targets = batch.pair()
    dropout = key if network.config.dropout else None
    params = params | dict(embed=jax.tree.map(mesh.replicate, params['embed']))
    bias = bias_of(params, bias, inputs.shape[1], steps_made)
    return network.total_nll(
      params, bias, inputs, targets, batch.weights, key=dropout,
      clock_key=jax.random.fold_in(key, 1), **seen(batch),
    )  # fmt: skip

  def accumulated_loss(
    params: dict, batch: Batch, key: PRNGKeyArray, *rest: Any
  ) -> tuple[Array, dict]:
    """Loss and gradient of equal parts of the batch, one at a time."""
    if accumulate == 1:
      return loss(params, batch, key, *rest)

    def add(sums: Any, part: Any) -> tuple[Any, None]:
      return jax.tree.map(jnp.add, sums, loss(params, *part, *rest)), None

    batch = jax.tree.map(
      lambda x: x.reshape(accumulate, -1, x.shape[-1]), batch
    )
    parts = (batch, jax.random.split(key, accumulate))
    dtype = batch.weights.dtype
    zero = (jnp.zeros((), dtype), jax.tree.map(jnp.zeros_like, params))
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
    batch = _complete(batch, state.params)
    share = batch.weights / mesh.psum(batch.weights.sum(), axis)
    batch = batch._replace(weights=share)
    sums = accumulated_loss(state.params, batch, key, bias, state.step)
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
    params: dict,
    batch: Any,
    bias: Array | None,
    steps_made: int | Array = 0,
    *,
    axis: str | None,
  ) -> tuple[Array, Array]:
    batch = _complete(batch, params)
    (inputs, targets), weights = batch.pair(), batch.weights
    bias = bias_of(params, bias, inputs.shape[1], jnp.asarray(steps_made))
    nll = network.nll(params, bias, inputs, targets, **seen(batch))
    return mesh.psum((jnp.sum(weights * nll), weights.sum()), axis)

  def answer_step(
    params: dict,
    batch: Any,
    bias: Array | None,
    steps_made: int | Array = 0,
    *,
    axis: str | None,
  ) -> tuple[Array, Array, Array]:
    batch = _complete(batch, params)
    (inputs, targets), weights = batch.pair(), batch.weights
    bias = bias_of(params, bias, inputs.shape[1], jnp.asarray(steps_made))
    x: Any = network.hidden(params, bias, inputs, **seen(batch))
    nll = model.token_nll(params, x, targets)
    right = jnp.argmax(model.logits(params, x), -1) == targets
    sums = (weights * nll).sum(), weights.sum(), (weights * right).sum()
    return mesh.psum(sums, axis)

  abstract_state = layout.abstract_state(init, jax.random.key(0))
  return (
    abstract_state,
    layout.init_sharded(init, abstract_state),
    layout.compile(step, abstract_state, donate=True),
    layout.compile(eval_step),
    layout.compile(answer_step),
  )


def _complete(batch: Any, params: dict) -> Batch:
  """All that a batch may say; tokens alone weigh the same."""
  dtype = params['embed']['embedding'].dtype
  if isinstance(batch, data.Cells):
    inputs, targets, weights = map(jnp.asarray, batch[:3])
    source = None if batch.source is None else jnp.asarray(batch.source)
    weights = weights.astype(dtype)
    return Batch(inputs, weights, targets=targets, source=source)
  if not isinstance(batch, tuple):
    batch = batch, jnp.ones((batch.shape[0], batch.shape[1] - 1), dtype)
  tokens, weights, *documents = batch
  return Batch(tokens, weights.astype(dtype), *documents)
