"""One run measured: windows of text stream through the estimators."""

import dataclasses
import os
import time
from concurrent import futures

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import evaluate, progress, run
from extrapolation import model as model_lib
from extrapolation.receptive_field import (
  cost,
  estimators,
  expected,
  record,
  samples,
  windows,
)
from extrapolation.receptive_field import reference as passes
from extrapolation.receptive_field.settings import Settings, starts

CHECKED = 4  # windows of text on which certificates are checked


class Clock:
  """Seconds by name."""

  def __init__(self):
    self.seconds = {}

  def __call__(self, name, function, *args):
    start = time.monotonic()
    out = jax.block_until_ready(function(*args))
    took = time.monotonic() - start
    self.seconds[name] = self.seconds.get(name, 0.0) + took
    return out


def plain(m, params):
  """The same function, in float32 at least, layer by layer, nothing redone.

  What is measured may be small beside the rounding of a shorter dtype.
  """
  m, params = model_lib.unrolled(m, params)
  wide = jnp.promote_types(model_lib.DTYPES[m.config.dtype], jnp.float32)
  fields = dict(dtype=str(wide), remat=False)
  return model_lib.make(m.V, **dataclasses.asdict(m.config) | fields), params


def measure(m, params, tokens, s: Settings, name: str = 'windows') -> tuple:
  """(sums over windows, M [N, H], the first windows, costs) of a model.

  Args:
    m, params: any model; it is measured as `plain` makes it.
    tokens: the text.
    s: what to measure, and on how much of the text.
    name: of the progress that is shown.

  Raises:
    ValueError: windows that do not fit in the text.
  """
  at = starts(len(tokens), s.length, s.tokens)
  m, params = plain(m, params)
  tables = m.bias(params, s.length)
  W, B = len(at), min(s.B, len(at))
  batches = [np.arange(i, min(i + B, W)) for i in range(0, W, B)]
  # Whole batches, evenly spaced, on which the model runs anew as well.
  count = min(-(-(s.recomputed or W) // B), len(batches))
  anew = {round(i) for i in np.linspace(0, len(batches) - 1, count)}
  forward = jax.jit(passes.make(m, s.Q))
  table = {k: estimators.compiled(k, m, s, tokens) for k in estimators.TABLE}
  sums, M, clock, compiling = samples.Sums(W), 0.0, Clock(), Clock()
  used = {'reference': 0, **dict.fromkeys(table, 0)}
  loop = progress.Loop(name, W)
  start = time.monotonic()

  def batch_of(index):
    rows = [tokens[at[i] : at[i] + s.length + 1] for i in index]
    return jnp.asarray(np.asarray(rows, np.int32))

  batch = batch_of(batches[0])
  found = compiling('reference', forward, params, batch[:, :-1])
  args = params, batches[0], batch, found, tables
  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(lambda k: compiling(k, table[k], *args), table))

  for i, index in enumerate(batches):
    padded = np.resize(index, B)  # one shape, so that one program serves all
    batch, few = batch_of(padded), len(index)
    found = clock('reference', forward, params, batch[:, :-1])
    sums.add(index, share=np.asarray(found.share)[:few])
    M = np.maximum(M, np.asarray(found.M).max(0))
    used['reference'] += few
    for k in table:
      if k in estimators.ANEW and i not in anew:
        continue
      out = clock(k, table[k], params, padded, batch, found, tables)
      used[k] += few
      sums.add(index, **{n: np.asarray(v)[:few] for n, v in out.items()})
    speed = (index[-1] + 1) * s.length / (time.monotonic() - start)
    loop.update(int(index[-1]) + 1, f'{speed:,.0f} tokens/s')
  loop.close()
  first = batch_of(np.arange(min(CHECKED, W)))
  return sums, M, first, _costs(m, s, clock, compiling, used)


def _costs(m, s, clock, compiling, used):
  """A row for the reference pass and each estimator, windows and seconds.

  Estimators compile side by side, in a call: those seconds are not a sum.
  """
  c, rows = m.config, []
  for name, count in used.items():
    part = estimators.TABLE.get(name)
    rows.append(dict(
      estimator=name,
      windows=count,
      flops=part.flops(c, m.V, s) if part
      else cost.forward(c, m.V, s.length, s.Q),
      formula=part.FORMULA if part else cost.FORWARD,
      seconds=round(clock.seconds.get(name, 0.0), 6),
      compiling=round(compiling.seconds[name], 3),
    ))  # fmt: skip
  return rows


def study(workdir: str, s: Settings, step=None, say=print) -> tuple:
  """(record, draws, weights by distance) of a run; see `record.make`.

  Raises:
    ValueError, OSError: as `run.load`; settings that do not fit its text.
  """
  r = run.load(workdir, step, say)
  train, tokens = r.config.train.T, r.text.tokens(s.split)
  starts(len(tokens), s.length, s.tokens)
  m, params = plain(r.model, r.params)
  heads = None
  if expected.of_distance(m.encoding):
    heads = expected.heads(m, params, s, train)
  else:
    say(
      f'{workdir}: {m.encoding.name} is not a function of distance alone; no '
      'theoretical field, measured ones only'
    )
  sums, M, first, costs = measure(m, params, tokens, s, workdir)
  keys = windows.widths(s.length, train)
  checked = windows.check(m, params, first, keys, M)
  about = dict(
    rpe=evaluate.label(r.config), seed=r.config.seed, train_length=train,
    length=s.length, split=s.split, step=r.step,
  )  # fmt: skip
  return record.make(about, m, params, s, train, sums, M, heads, checked, costs)
