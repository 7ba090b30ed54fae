"""The losses of one length: batches of windows, their sums, one row."""

import functools
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from extrapolation import model, runs
from extrapolation.config import Eval
from extrapolation.evaluation import window_certificate
from extrapolation.evaluation.eval_windows import Window
from extrapolation.output import progress
from extrapolation.parallel import mesh, preemption

log = logging.getLogger(__name__)


def _batches(
  tokens: np.ndarray, windows: list[Window], length: int, rows: int
) -> Iterator[tuple[list[Window], Int[np.ndarray, 'B T1']]]:
  for i in range(0, len(windows), rows):
    part = windows[i : i + rows]
    batch = np.zeros((rows, length + 1), np.int32)
    for row, w in zip(batch, part, strict=False):
      row[: w.stop - w.start] = tokens[w.start : w.stop]
    yield part, batch


def score(
  nll: Callable,
  tokens: Integer[np.ndarray, ' n'],
  byte_lengths: Int[np.ndarray, ' V'],
  length: int,
  windows: list[Window],
  rows: int,
  train_length: int,
  loop: progress.Loop,
) -> tuple[dict, Float[np.ndarray, ' T']]:
  """One row of the table, and the mean nats by position in the window.

  Sums are over tokens, in float64. `ppl` is exp(mean nats) over all scored
  targets, `ppl_last` over those among the last `train_length` positions of a
  full window, `bits_per_byte` divides by the UTF-8 bytes of the targets.
  """
  by_position = np.zeros(length)
  count = np.zeros(length, np.int64)
  last = [0.0, 0]
  size = 0
  start = time.monotonic()
  for i, (part, batch) in enumerate(_batches(tokens, windows, length, rows)):
    losses = np.asarray(nll(batch, part), np.float64)
    for row, w in zip(losses, part, strict=False):
      a, b = w.score - w.start - 1, w.stop - w.start - 1
      by_position[a:b] += row[a:b]
      count[a:b] += 1
      size += int(byte_lengths[tokens[w.score : w.stop]].sum())
      if b == length:
        tail = row[max(a, length - train_length) : b]
        last = [last[0] + tail.sum(), last[1] + len(tail)]
    done = min((i + 1) * rows, len(windows))
    speed = done * length / (time.monotonic() - start)
    loop.update(done, f'{speed:,.0f} tokens/s')
  loop.close()
  nats, scored = by_position.sum(), int(count.sum())
  row = dict(
    length=length,
    ppl=_exp(nats / scored),
    ppl_last=_exp(last[0] / last[1]) if last[1] else math.nan,
    bits_per_byte=nats / math.log(2) / size if size else math.nan,
    tokens=scored,
    tokens_last=last[1],
    bytes=size,
    windows=len(windows),
    seconds=round(time.monotonic() - start, 2),
  )
  with np.errstate(invalid='ignore'):
    return row, np.where(count > 0, by_position / count, np.nan)


def _exp(x: float) -> float:
  return math.inf if x >= 700 else math.exp(x)  # of NaN it is NaN


def one_length(
  run: runs.Trained,
  settings: Eval,
  n: int,
  windows: list[Window],
  bias: Any,
  notice: preemption.Preemption,
) -> tuple[dict, Float[np.ndarray, ' T']]:
  """The row and the loss by position of length n, under `eval.window`.

  `bias` is what `Model.bias` gives for n or more distances. Stops by a
  Preempted, a SystemExit, when `notice` is due.
  """
  kept = tails = None
  if settings.window != 'full':
    kept = window_certificate.windows(settings.window, run, n)
    tails = window_certificate.bounded_tails(run.model, run.params, n, kept)
  layout, size = mesh.for_length(n, len(windows), settings.batch_tokens)
  compiled = _nll(run.model.network, kept and kept.keys, layout)
  params = run.params
  table = bias
  if isinstance(bias, np.ndarray):
    table = np.ascontiguousarray(bias[..., :n])
  if jax.process_count() == 1:  # several use all devices for every length
    params, table = jax.device_put((params, table), layout.sharding())
  errors = []

  def nll(batch: np.ndarray, part: list[Window]) -> Array:
    if notice.due():
      raise preemption.Preempted('stopped by notice; run the same again')
    rows = layout.global_from_replicated(batch)
    if not kept:
      return compiled(params, table, rows)
    nats, of_query = compiled(params, table, rows, tails, kept.clock)
    if of_query is None:
      return nats
    for e, w in zip(np.asarray(of_query), part, strict=False):
      errors.append(e[: w.stop - w.start - 1])
    return nats

  row, curve = score(
    nll,
    run.text().tokens(settings.split),
    run.tokenizer.byte_lengths,
    n,
    windows,
    size,
    run.config.train.T,
    progress.Loop(
      f'{run.config.model.label} {n}',
      len(windows),
      shown=not jax.process_index(),
    ),
  )
  row |= dict(window='full', window_error=0.0, window_error_mean=0.0)
  if kept:
    row |= dict(window=kept.label)
    row |= dict(window_error=None, window_error_mean=None)
  if errors:
    every = np.concatenate(errors)
    row |= dict(
      window_error=float(every[:, 0].max()),
      window_error_mean=float(every[:, 1].mean()),
    )
    if kept and kept.clock is not None:
      log.info(
        'length %s: a head saw %.1f keys of a query in the mean, of %.1f',
        f'{n:,}', every[:, 2].mean(),
        np.mean([np.arange(1, len(e) + 1).mean() for e in errors]),
      )  # fmt: skip
  return row, curve


@functools.lru_cache(maxsize=64)
def _nll(
  network: model.Network, window: tuple[int, ...] | None, layout: mesh.Layout
) -> Callable:
  """(params, bias, batch) -> nats [B, T], compiled once per network.

  With a window: (params, bias, batch, ln T_w [N, H]) -> nats, and of every
  query the largest and the mean error over layers and heads, [B, T, 2]; None
  of ln T_w = None. With differences of a clock [N, H] at the end, how many keys
  it saw in the mean comes third.
  """

  def whole(params: dict, bias: Any, batch: Array, **kw: Any) -> Array:
    inputs, targets = mesh.shifted(batch)
    suited, params = model.for_length(network, params, inputs.shape[1])
    return suited.nll(params, bias, inputs, targets, **kw)

  if window is None:
    return layout.jit_replicated(whole)

  def windowed(
    params: dict,
    bias: Any,
    batch: Array,
    log_tails: Array | None,
    differences: Array | None = None,
  ) -> tuple[Array, Array | None]:
    if log_tails is None:
      attend = window_certificate.attend(window)
      return whole(params, bias, batch, attend=attend), None
    nats, seen = window_certificate.measured(
      network, params, bias, batch, window, differences
    )
    lost = window_certificate.lost(seen, log_tails, window)
    of_query = [lost.max((0, 3)), lost.mean((0, 3))]
    if seen.kept is not None:
      of_query.append(seen.kept.mean((0, 3)))
    return nats, jnp.stack(of_query, -1)

  return layout.jit_replicated(windowed)
