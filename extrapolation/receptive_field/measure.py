"""A decoder measured: windows of text stream through the estimators."""

import dataclasses
import os
import time
from collections.abc import Callable
from concurrent import futures

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from extrapolation.model import Model, Network, computed_as, unrolled
from extrapolation.output import progress
from extrapolation.receptive_field import bootstrap, estimators
from extrapolation.receptive_field.estimators import flop_count
from extrapolation.receptive_field.estimators.settings import Settings, starts

CHECKED = 4  # windows of text on which certificates are checked


@dataclasses.dataclass(frozen=True)
class Measured:
  """What windows of text leave.

  Attributes:
    sums: of every estimator, over windows.
    M: the largest |q.k| / sqrt K that any window allows.
    osc: the most that two logits of one query differ, of those measured.
    first: the first windows, [w, n + 1] tokens.
    costs: operations and seconds, a row per estimator.
  """

  sums: bootstrap.Sums
  M: Float[np.ndarray, 'N H']
  osc: Float[np.ndarray, 'N H']
  first: Int[Array, 'w t']
  costs: list[dict]


class Stopwatch:
  """Seconds by name, of calls whose arrays are waited for."""

  def __init__(self):
    self.seconds: dict[str, float] = {}

  def __call__(self, name: str, function: Callable, *args):
    start = time.monotonic()
    out = jax.block_until_ready(function(*args))
    took = time.monotonic() - start
    self.seconds[name] = self.seconds.get(name, 0.0) + took
    return out


def plain(model: Model, params: dict) -> tuple[Model, dict]:
  """The same function, in float32 at least, layer by layer, nothing redone.

  What is measured may be small beside the rounding of a shorter dtype.
  """
  model, params = unrolled(model, params)
  wide = jnp.promote_types(model.config.dtype, jnp.float32)
  return computed_as(model, dtype=str(wide)), params


def measure(
  model: Model,
  params: dict,
  tokens: Integer[np.ndarray, ' t'],
  settings: Settings,
  label: str = 'windows',
  documents: Int[np.ndarray, ' d'] | None = None,
) -> Measured:
  """Streams a text through every estimator.

  Args:
    model, params: any model; it is measured as `plain` makes it.
    tokens: the text.
    settings: what to measure, and on how much of the text.
    label: of the progress that is shown.
    documents: offsets, of windows that each lie within one; None for any.

  Raises:
    ValueError: windows that do not fit in the text.
  """
  at = starts(len(tokens), settings.length, settings.tokens, documents)
  model, params = plain(model, params)
  network, bias = model.network, model.bias(params, settings.length)
  W, B = len(at), min(settings.B, len(at))
  batches = [np.arange(i, min(i + B, W)) for i in range(0, W, B)]
  # Whole batches, evenly spaced, on which the model is run again as well.
  count = min(-(-(settings.recomputed or W) // B), len(batches))
  rerun = {round(i) for i in np.linspace(0, len(batches) - 1, count)}
  forward = estimators.reference_pass(network, settings.Q)
  table = {
    k: estimators.compiled(k, network, settings, tokens)
    for k in estimators.TABLE
  }
  sums = bootstrap.Sums(W)
  M, osc = np.zeros((2, model.config.N, model.config.H))
  seconds, compiling = Stopwatch(), Stopwatch()
  used = {'reference': 0, **dict.fromkeys(table, 0)}

  def batch_of(index: np.ndarray) -> Array:
    rows = [tokens[at[i] : at[i] + settings.length + 1] for i in index]
    return jnp.asarray(np.asarray(rows, np.int32))

  batch = batch_of(batches[0])
  reference = compiling('reference', forward, params, bias, batch[:, :-1])
  args = params, bias, batches[0], batch, reference
  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(lambda k: compiling(k, table[k], *args), table))

  loop = progress.Loop(label, W, tokens=settings.length)
  for i, index in enumerate(batches):
    padded = np.resize(index, B)  # one shape, so that one program serves all
    batch, few = batch_of(padded), len(index)
    reference = seconds('reference', forward, params, bias, batch[:, :-1])
    sums.add(index, share=np.asarray(reference.share)[:few])
    M = np.maximum(M, np.asarray(reference.M).max(0))
    osc = np.maximum(osc, np.asarray(reference.osc).max(0))
    used['reference'] += few
    for k in table:
      if k in estimators.RERUN and i not in rerun:
        continue
      out = seconds(k, table[k], params, bias, padded, batch, reference)
      used[k] += few
      sums.add(index, **{n: np.asarray(v)[:few] for n, v in out.items()})
    loop.update(int(index[-1]) + 1)
  loop.close()
  first = batch_of(np.arange(min(CHECKED, W)))
  costs = _costs(network, settings, seconds, compiling, used)
  return Measured(sums, M, osc, first, costs)


def _costs(
  network: Network,
  settings: Settings,
  seconds: Stopwatch,
  compiling: Stopwatch,
  used: dict[str, int],
) -> list[dict]:
  """A row for the reference pass and each estimator, windows and seconds.

  Estimators compile side by side, within a call: those seconds do not add up.
  """
  sizes, V, rows = network.config, network.V, []
  for name, count in used.items():
    if part := estimators.TABLE.get(name):
      flops, formula = part.flops(sizes, V, settings), part.FORMULA
    else:
      flops = flop_count.forward(sizes, V, settings.length, settings.Q)
      formula = flop_count.FORWARD
    rows.append(
      dict(
        estimator=name,
        windows=count,
        flops=flops,
        formula=formula,
        seconds=round(seconds.seconds.get(name, 0.0), 6),
        compiling=round(compiling.seconds[name], 3),
      )
    )
  return rows
