"""The losses of a model on places at one size, of targets that all have."""

import functools
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation import config, data, model, runs
from extrapolation.output import progress
from extrapolation.parallel import mesh, preemption
from extrapolation.runs import asked

EXAMPLES = 64  # where eval.tokens = 0, all of an endless stream

COLUMNS = ('size', 'length', 'nll', 'optimum', 'excess', 'accuracy', 'tokens',
           'windows', 'seconds')  # fmt: skip

log = logging.getLogger(__name__)


def plan(text: data.Drawn, e: config.Experiment) -> dict[str, range]:
  """Numbers of the examples that are asked at each size, the same at all.

  As many as have `eval.tokens` targets.

  Raises:
    ValueError: a size that the task cannot give, or a setting of windows.
  """
  _check(e.eval, f'task {text.task.label}')
  least, s = asked.within(e), e.eval
  count, targets = 0, 0
  if not s.tokens:
    count = EXAMPLES
    log.info(
      'eval.tokens = 0: the first %d examples, as there is no last one', count
    )
  while targets < s.tokens:
    cells, _ = text.read([count], least, least, stream=s.split)
    count, targets = count + 1, targets + int(cells.weights.sum())
  return dict.fromkeys(s.sizes, range(count))


def _check(s: config.Eval, what: str) -> None:
  """Raises ValueError for a setting of windows, where there are examples."""
  for key, value, only in (
    ('protocol', s.protocol, 'nonoverlap'),
    ('window', s.window, 'full'),
  ):
    if value != only:
      raise ValueError(
        f'eval.{key} = {value} is for windows of a text, and {what} has '
        f'examples; set eval.{key} = {only}'
      )


def one_size(
  run: runs.Trained,
  e: config.Experiment,
  name: str,
  numbers: range,
  notice: preemption.Preemption,
) -> tuple[dict, Float[np.ndarray, ' t']]:
  """The row of a size, and the mean excess over the optimum by place.

  Sums are over targets, in float64: `nll` is their mean in nats, `optimum`
  that of the best predictions there are, `excess` the mean of the difference.
  The means by place are of the targets of the smallest size; NaN where none
  was scored, and nats where no optimum is known.
  """
  text = run.text()
  assert isinstance(text, data.Drawn)
  m, size = run.model, config.size(e.model, name)
  space = m.space(size) if e.model.kind == 'encoder' else None
  T = config.positions(e.model, name)
  layout, rows = mesh.for_examples(T, len(numbers), e.eval.batch_tokens)
  compiled = _scores(m.network, layout, space)
  params = run.params
  table: Any = m.bias(params, T, space=space)
  if jax.process_count() == 1:
    params, table = jax.device_put((params, table), layout.sharding())
  loop = progress.Loop(
    f'{run.config.model.label} {name}',
    len(numbers),
    shown=not jax.process_index(),
  )
  sums: dict[str, Any] = dict(nats=0.0, best=0.0, right=0.0, asked=0)
  least, places = asked.within(e), None
  start = time.monotonic()
  for i in range(0, len(numbers), rows):
    if notice.due():
      raise preemption.Preempted('stopped by notice; run the same again')
    part = numbers[i : i + rows]
    cells, optimum = text.read(part, size, least, stream=e.eval.split)
    smallest = text.read(part, least, least, stream=e.eval.split)[0].weights
    n = len(cells.inputs)
    batch = jax.tree.map(lambda x, n=n: _filled(x, rows - n), cells)
    batch = jax.tree.map(layout.global_from_replicated, batch)
    nll, right = (
      np.asarray(x, np.float64)[:n] for x in compiled(params, table, batch)
    )
    scored = cells.weights > 0
    sums['nats'] += nll[scored].sum()
    sums['best'] += optimum[scored].astype(np.float64).sum()
    sums['right'] += right[scored].sum()
    sums['asked'] += int(scored.sum())
    places = places or _ByPlace(smallest.shape[1])
    places.add(smallest, cells.weights, nll - np.nan_to_num(optimum))
    loop.update(min(i + rows, len(numbers)))
  loop.close()
  row = _row(sums, name, T, len(numbers))
  row['seconds'] = round(time.monotonic() - start, 2)
  assert places is not None
  return row, places.mean()


def _row(sums: dict, name: str, T: int, examples: int) -> dict:
  n = sums['asked']
  nll, best = sums['nats'] / n, sums['best'] / n
  ppl = math.exp(nll) if nll < 700 else math.inf
  return dict(
    size=name,
    length=T,
    ppl=ppl,
    ppl_last=ppl,  # each target has all of its context
    bits_per_byte=math.nan,
    tokens=n,
    tokens_last=n,
    bytes=0,
    windows=examples,
    nll=nll,
    optimum=best,
    excess=nll - best,
    accuracy=sums['right'] / n,
    window='full',
    window_error=0.0,
    window_error_mean=0.0,
  )


def _filled(x: np.ndarray, rows: int) -> np.ndarray:
  return np.pad(x, ((0, rows), (0, 0)))


class _ByPlace:
  """Sums by place of the smallest size, whose targets every size has.

  They stand in the order of their places at each.
  """

  def __init__(self, n: int):
    self.sums, self.counts = np.zeros(n), np.zeros(n, np.int64)

  def add(
    self, least: np.ndarray, here: np.ndarray, excess: np.ndarray
  ) -> None:
    """Rows of an example: weights at the smallest size and here, [B, .]."""
    at = [np.flatnonzero(row) for row in least]
    values = [x[w > 0] for x, w in zip(excess, here, strict=True)]
    for where, x in zip(at, values, strict=True):
      self.sums[where] += x
      self.counts[where] += 1

  def mean(self) -> Float[np.ndarray, ' t']:
    with np.errstate(invalid='ignore'):
      return np.where(self.counts > 0, self.sums / self.counts, np.nan)


@functools.lru_cache(maxsize=64)
def _scores(
  network: model.Network, layout: mesh.Layout, space: model.Space | None
) -> Callable:
  """(params, bias, Cells) -> nats and whether right, [B, t]."""

  def scores(params: dict, bias: Any, batch: data.Cells) -> tuple[Array, Array]:
    inputs, targets = (
      mesh.constrain(jnp.asarray(x)) for x in (batch.inputs, batch.targets)
    )
    source = None if batch.source is None else jnp.asarray(batch.source)
    x: Any = network.hidden(params, bias, inputs, space=space, source=source)
    nll = model.token_nll(params, x, targets)
    right = jnp.argmax(model.logits(params, x), -1) == targets
    return nll, right

  return layout.jit_replicated(scores)
