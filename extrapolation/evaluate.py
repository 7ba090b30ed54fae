"""Length sweep over one run: `python -m extrapolation.evaluate --workdir=DIR`.

Every length scores the same target tokens. Longer windows lower perplexity by
the early-token effect alone (fewer targets have little context), so two
numbers are given: over all targets, and over those at the end of a window.
"""

import dataclasses
import functools
import math
import os
import pathlib
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import Float, Int

from extrapolation import (
  certificate,
  cli,
  config,
  model,
  multihost,
  parallel,
  plot,
  preemption,
  progress,
  rpe,
  run,
  table,
)
from extrapolation.protocol import Settings, Window, windows

COLUMNS = ('length', 'ppl', 'ppl_last', 'bits_per_byte', 'tokens',
           'tokens_last', 'bytes', 'windows', 'seconds')  # fmt: skip


def _batches(
  tokens: np.ndarray, found: list[Window], length: int, rows: int
) -> Iterator[tuple[list[Window], Int[np.ndarray, 'B T1']]]:
  for i in range(0, len(found), rows):
    part = found[i : i + rows]
    batch = np.zeros((rows, length + 1), np.int32)
    for row, w in zip(batch, part, strict=False):
      row[: w.stop - w.start] = tokens[w.start : w.stop]
    yield part, batch


def csv_path(workdir: str, s: Settings) -> os.PathLike:
  """Where `evaluate` writes its table; the figures lie beside it."""
  name = f'{s.split}-{s.protocol}'
  name += f'-window-{s.window}' if s.window != 'full' else ''
  name = name.replace(':', '-') + '.csv'
  kind = pathlib.Path if run.is_local(workdir) else epath.Path
  return kind(workdir) / 'eval' / name


def score(
  nll,
  tokens,
  byte_lengths,
  length: int,
  found: list[Window],
  rows: int,
  train_length: int,
  loop: progress.Loop,
) -> tuple[dict, Float[np.ndarray, ' n']]:
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
  for i, (part, batch) in enumerate(_batches(tokens, found, length, rows)):
    losses = np.asarray(nll(batch, part), np.float64)
    for row, w in zip(losses, part, strict=False):
      a, b = w.score - w.start - 1, w.stop - w.start - 1
      by_position[a:b] += row[a:b]
      count[a:b] += 1
      size += int(byte_lengths[tokens[w.score : w.stop]].sum())
      if b == length:
        tail = row[max(a, length - train_length) : b]
        last = [last[0] + tail.sum(), last[1] + len(tail)]
    done = min((i + 1) * rows, len(found))
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
    windows=len(found),
    seconds=round(time.monotonic() - start, 2),
  )
  with np.errstate(invalid='ignore'):
    return row, np.where(count > 0, by_position / count, np.nan)


def _exp(x: float) -> float:
  return math.exp(x) if x < 700 else math.inf


def evaluate(
  workdir: str, say=print, step: int | None = None, **changes
) -> list[dict]:
  """Scores a run at every length; writes CSV, PNG and .npy into `DIR/eval`.

  A window limits the keys of every query (`certificate.windows`). The columns
  `window_error` and `window_error_mean` then bound what that can change in an
  attention output, as a share of the largest value vector: for the query that
  may lose most, and in the mean over queries, heads and layers.

  `changes` replace fields of the run's own `eval` section. Needs nothing else:
  the model, its tokenizer and its text are the run's.

  Raises:
    ValueError: not a run, a setting that does not fit, a length that the text
      is too short for, or text that has changed since training.
    OSError: no checkpoint, or none that is sound.
  """
  c = run.load_config(workdir)
  s = dataclasses.replace(
    Settings(**config.bind('eval', Settings, c.eval)), **changes
  )
  if jax.process_index():
    say = _silent
  path = csv_path(workdir, s)
  multihost.first(lambda: run.writable(path.parent))
  every = parallel.layout(parallel.Settings(), ordered=True)
  r = run.load(workdir, step, say, every)
  tokens = r.text.tokens(s.split)
  plan = {
    n: windows(len(tokens), n, s.protocol, max(s.lengths), s.tokens)
    for n in sorted(set(s.lengths))
  }
  if step is None and r.step != c.train.steps:
    say(
      f'{workdir}: step {r.step:,} of {c.train.steps:,} is scored, the newest'
    )
  rows, curves = [], {}
  with preemption.Preemption() as notice:
    for n, found in plan.items():
      row, curves[n] = _one_length(r, s, n, found, say, notice)
      about = dict(rpe=label(c), seed=c.seed, train_length=c.train.T)
      about |= dict(split=s.split, protocol=s.protocol, step=r.step)
      rows.append({**about, **row, **run.provenance()})
  multihost.first(lambda: _write(path, rows, curves, c.train.T))
  extra = ('window_error', 'window_error_mean')
  extra = () if s.window == 'full' else extra
  say(table.text(rows, COLUMNS + extra))
  say(f'wrote {path}; .png, -position.png, -position-*.npy beside it')
  return rows


def _silent(text: str) -> None:
  """What all processes would say, one says."""


def _write(path: os.PathLike, rows, curves, train_length) -> None:
  counts = {row['length']: row['windows'] for row in rows}
  with run.outputs(path.parent) as folder:
    for n, curve in curves.items():
      np.save(folder / f'{path.stem}-position-{n}.npy', curve)
    figure = folder / f'{path.stem}-position.png'
    plot.positions(figure, curves, counts, train_length)
    plot.lengths(folder / f'{path.stem}.png', rows)
    table.write(folder / path.name, rows)  # last: it says that all is there


def _one_length(r: run.Trained, s: Settings, n: int, found, say, notice):
  """The row and the loss by position of one length."""
  keys = tails = None
  if s.window != 'full':
    keys = certificate.windows(s.window, r, n, say)
    tails = certificate.log_tails(r.model, r.params, n)
    tails = jnp.asarray(tails[:, np.arange(len(keys)), keys], jnp.float32)
  layout, size = parallel.for_length(n, len(found), s.batch_tokens)
  compiled, params = _nll(r.model, keys, layout), r.params
  if jax.process_count() == 1:  # several use all devices for every length
    params = jax.device_put(params, layout.sharding())
  lost = []

  def nll(batch, part):
    if notice.due():
      raise preemption.Preempted('stopped by notice; run the same again')
    batch = layout.share(batch)
    if not keys:
      return compiled(params, batch)
    nats, errors = compiled(params, batch, tails)
    errors = np.asarray(errors)
    lost.extend(e[: w.stop - w.start - 1]
                for e, w in zip(errors, part, strict=False))  # fmt: skip
    return nats

  row, curve = score(
    nll,
    r.text.tokens(s.split),
    r.text.tokenizer.byte_lengths,
    n,
    found,
    size,
    r.config.train.T,
    progress.Loop(
      f'{r.config.model.rpe} {n}', len(found), shown=not jax.process_index()
    ),
  )
  row |= dict(window='full', window_error=0.0, window_error_mean=0.0)
  if keys:
    errors = np.concatenate(lost)
    row |= dict(
      window=' '.join(map(str, keys)),
      window_error=float(errors[:, 0].max()),
      window_error_mean=float(errors[:, 1].mean()),
    )
  return row, curve


@functools.lru_cache(maxsize=64)
def _nll(
  m: model.Model, window: tuple[int, ...] | None, layout: parallel.Layout
):
  """(params, batch) -> nats [B, T], compiled once a model.

  With a window: (params, batch, ln T_w [N, H]) -> nats, and of every query the
  largest and the mean error over layers and heads, [B, T, 2].
  """
  if window is None:

    def whole(params, batch):
      inputs, targets = parallel.shifted(batch)
      n, params = model.for_length(m, params, inputs.shape[1])
      return n.nll(params, inputs, targets)

    return layout.everywhere(whole)

  def windowed(params, batch, log_tails):
    nats, seen = certificate.measured(m, params, batch, window)
    lost = certificate.lost(seen, log_tails, window)
    return nats, jnp.stack([lost.max((0, 3)), lost.mean((0, 3))], -1)

  return layout.everywhere(windowed)


def label(c) -> str:
  """The encoding of a run with the hyperparameters that are not default."""
  defaults = rpe.defaults(c.model.rpe)
  changed = [f'{k}={v}' for k, v in c.model.rpe_args.items()
             if v != defaults[k]]  # fmt: skip
  return ':'.join([c.model.rpe, *changed])


def main(argv: list[str]) -> None:
  preemption.leave_at_once()
  parser = cli.parser(__doc__)
  add = parser.add_argument
  add('--workdir', required=True, metavar='DIR', help='the folder of a run')
  add('--lengths', metavar='N,N,...', help="default: the run's eval.lengths")
  add('--protocol', help='nonoverlap | sliding:STRIDE | last:K')
  add('--split', help='train | valid | test')
  add('--tokens', type=int, help='targets scored at every length; 0 is all')
  add('--batch_tokens', type=int, help='tokens a forward pass')
  add('--window', help='keys a query sees: full | N | certified:ERROR')
  add('--step', type=int, help='of the checkpoint; default: the newest')
  multihost.add_flags(parser)
  args = parser.parse_args(argv)
  processes = multihost.pop_flags(args)
  args = {k: v for k, v in vars(args).items() if v is not None}
  if 'lengths' in args:
    args['lengths'] = lengths(args['lengths'])
  with multihost.group(processes, evaluate=args):
    evaluate(**args)


def lengths(text: str) -> tuple[int, ...]:
  """`512,1024` as numbers."""
  try:
    return tuple(int(n) for n in text.split(','))
  except ValueError:
    raise ValueError(
      f'--lengths={text}: needs whole numbers parted by commas, '
      'such as 512,1024,9216'
    ) from None


if __name__ == '__main__':
  cli.run(main)
