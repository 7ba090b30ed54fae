"""The answers to the examples of a probe, by length: the same at every one."""

import functools
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from extrapolation import data, model, runs
from extrapolation.config import Eval
from extrapolation.evaluation import window_certificate
from extrapolation.output import progress
from extrapolation.parallel import mesh, preemption

EXAMPLES = 256  # where eval.tokens = 0, all of an endless stream

COLUMNS = ('length', 'nll', 'accuracy', 'ppl', 'tokens', 'windows', 'seconds')

log = logging.getLogger(__name__)


def plan(text: data.Generated, s: Eval) -> dict[int, range]:
  """Numbers of the examples that are asked at each length, the same at all.

  As many as have `eval.tokens` answers. Their distances are those of the
  shortest length; what a longer one adds is filler in front.

  Raises:
    ValueError: a length without room, or a protocol of windows of text.
  """
  (one,) = text.examples
  if s.protocol != 'nonoverlap':
    raise ValueError(
      f'eval.protocol = {s.protocol} is for windows of a text, and probe '
      f'{one.probe.label} has examples; set eval.protocol = nonoverlap'
    )
  shortest = min(s.lengths)
  one.probe.check(shortest)
  count, answers = 0, 0
  if not s.tokens:
    count = EXAMPLES
    log.info(
      'eval.tokens = 0: the first %d examples, as there is no last one', count
    )
  while answers < s.tokens:
    some = one.read([count], shortest, stream=s.split)
    count, answers = count + 1, answers + int(some.weights.sum())
  return {n: range(count) for n in sorted(set(s.lengths))}


def one_length(
  run: runs.Trained,
  settings: Eval,
  n: int,
  numbers: range,
  bias: Any,
  notice: preemption.Preemption,
) -> tuple[dict, Float[np.ndarray, ' T']]:
  """The row of length n, and the mean nats of answers by position.

  Sums are over answers, in float64: `nll` is their mean in nats, `ppl` its
  exponential, `accuracy` the share that has the largest logit. What a window
  can change is not bounded here. The other arguments are those of
  `length_sweep.one_length`.
  """
  (one,) = run.text().examples
  seen = None
  if settings.window != 'full':
    seen = window_certificate.windows(settings.window, run, n)
  keys, differences = seen or (None, None)
  layout, size = mesh.for_length(n, len(numbers), settings.batch_tokens)
  compiled = _scores(run.model.network, layout, keys)
  params, table = run.params, bias
  if isinstance(bias, np.ndarray):
    table = np.ascontiguousarray(bias[..., :n])
  if jax.process_count() == 1:  # several use all devices for every length
    params, table = jax.device_put((params, table), layout.sharding())
  loop = progress.Loop(
    f'{run.config.model.label} {n}',
    len(numbers),
    shown=not jax.process_index(),
  )
  nats, right = np.zeros(n), np.zeros(n)
  asked = np.zeros(n, np.int64)
  start = time.monotonic()
  for i in range(0, len(numbers), size):
    if notice.due():
      raise preemption.Preempted('stopped by notice; run the same again')
    part = one.read(
      numbers[i : i + size],
      n,
      stream=settings.split,
      within=min(settings.lengths),
    )
    at, counted = queries(part.weights)
    fill = (0, size - len(at)), (0, 0)
    rows = (np.pad(x, fill) for x in (part.tokens, at))
    of_answers = compiled(
      params, table, differences, *map(layout.global_from_replicated, rows)
    )
    for sums, x in zip((nats, right), of_answers, strict=True):
      x = np.asarray(x, np.float64)[: len(at)]
      np.add.at(sums, at[counted], x[counted])
    np.add.at(asked, at[counted], 1)
    loop.update(min(i + size, len(numbers)))
  loop.close()
  total = int(asked.sum())
  nll = float(nats.sum()) / total
  ppl = math.exp(nll) if nll < 700 else math.inf
  row = dict(
    length=n,
    ppl=ppl,
    ppl_last=ppl,  # each answer has all of its context
    bits_per_byte=math.nan,
    tokens=total,
    tokens_last=total,
    bytes=0,
    windows=len(numbers),
    seconds=round(time.monotonic() - start, 2),
    nll=nll,
    accuracy=float(right.sum()) / total,
    window=seen.label if seen else 'full',
    window_error=None if seen else 0.0,
    window_error_mean=None if seen else 0.0,
  )
  with np.errstate(invalid='ignore'):
    return row, np.where(asked > 0, nats / asked, np.nan)


def queries(
  weights: Float[np.ndarray, 'B T'],
) -> tuple[Int[np.ndarray, 'B A'], Bool[np.ndarray, 'B A']]:
  """Positions of the answers of each row, of A at most, and which are some.

  >>> queries(np.array([[0, 1, 0, 1.0], [0, 0, 0, 1]]))[0].tolist()
  [[1, 3], [3, 0]]
  """
  counts = (weights > 0).sum(1)
  counted = np.arange(counts.max(initial=0)) < counts[:, None]
  at = np.zeros(counted.shape, np.int32)
  at[counted] = np.nonzero(weights)[1]
  return at, counted


@functools.lru_cache(maxsize=64)
def _scores(
  network: model.Network, layout: mesh.Layout, keys: tuple[int, ...] | None
) -> Callable:
  """(params, bias, differences, tokens, positions [B, A]) -> nats, right.

  Of each answer, [B, A], from tokens [B, T + 1] through the windows
  `Windows(keys, differences)`; whole if `keys` are None. Logits exist at the
  positions that are asked, and nowhere else.
  """

  def scores(
    params: dict,
    bias: Any,
    differences: Array | None,
    tokens: Array,
    at: Array,
  ) -> tuple[Array, Array]:
    inputs, targets = mesh.shifted(tokens)
    suited, params = model.for_length(network, params, inputs.shape[1])
    attend = None
    if keys is not None:
      attend = window_certificate.attend(keys, differences)
    x: Any = suited.hidden(params, bias, inputs, attend=attend)
    x = jnp.take_along_axis(x, at[..., None], 1)
    targets = jnp.take_along_axis(targets, at, 1)
    logits = model.logits(params, x)
    nll = model.token_nll(params, x, targets)
    return nll, logits.argmax(-1) == targets

  return layout.jit_replicated(scores)
