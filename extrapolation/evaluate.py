"""Length sweep over one run: `python -m extrapolation.evaluate --workdir=DIR`.

Every length scores the same target tokens. Longer windows lower perplexity by
the early-token effect alone (fewer targets have little context), so two
numbers are given: over all targets, and over those at the end of a window.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath

from extrapolation import cli, config, data, rpe, runs
from extrapolation.cli import compilation_cache, flags, paths, values
from extrapolation.evaluation import (
  answers,
  eval_windows,
  mass_by_distance,
  size_sweep,
  window_certificate,
)
from extrapolation.evaluation.length_sweep import one_length
from extrapolation.output import files, plot, size_plot, table
from extrapolation.parallel import mesh, multihost, preemption
from extrapolation.rpe import check as rpe_check
from extrapolation.runs import asked, eval_table, leases

log = logging.getLogger('extrapolation.evaluate')  # also as __main__

COLUMNS = ('length', 'ppl', 'ppl_last', 'bits_per_byte', 'tokens',
           'tokens_last', 'bytes', 'windows', 'crosses_documents',
           'seconds')  # fmt: skip


def evaluate(
  workdir: str,
  step: int | None = None,
  lease: leases.Lease | None = None,
  source: str = '',
  separator: str = '',
  field: str = '',
  out: str = '',
  encoding: str = '',
  **changes: Any,
) -> list[dict]:
  """Scores a run at every length; writes CSV, PNG and .npy into `DIR/eval`.

  Windows lie within documents if training reads each document by itself
  (`data.windows` = within, packed), else they are of one stream;
  `crosses_documents` counts those that hold tokens of several. Rows of other
  lengths, steps and settings stay in the table; equal ones are replaced.
  `source` is another text, read with the run's tokenizer, whole or by its own
  split; `separator` and `field` are of its documents. `out` is another folder
  to write in. `encoding` is another than the run was trained with, of
  parameters that it has (`runs.scored_as`).

  A run that reads places is scored at `sizes`, the same targets at each, and
  beside its loss stands that of the best predictions where it is known.

  A probe has examples in place of windows: the same at every length, with more
  filler in front, and `nll` and `accuracy` are of their answers (`answers`).

  A window limits the keys of every query (`window_certificate.windows`). The
  columns `window_error` and `window_error_mean` then bound what that can change
  in an attention output, as a share of the largest value vector: for the query
  that may lose most, and in the mean over queries, heads and layers; they stay
  empty for a probe, and where the weight of a key is of the text (a clock, a
  heat or a score) and keys are counted. `certified:ERROR` then takes
  differences of the clock.

  `changes` replace fields of the run's own `eval` section. `lease` is that of a
  caller who must not write when it is lost. Needs nothing else:
  the model, its tokenizer and its text are the run's.

  Raises:
    ValueError: not a run, a setting that does not fit, a length that the text
      is too short for, or text that has changed since training.
    OSError: no checkpoint, or none that is sound.
  """
  e = runs.load_config(workdir)
  if 'lengths' in changes and e.model.kind != 'decoder':
    raise ValueError(
      f'lengths = {changes["lengths"]} are of a text, and this run, of kind '
      f'{e.model.kind}, reads places: give --sizes, such as {e.train.size}'
    )
  e = dataclasses.replace(e, eval=dataclasses.replace(e.eval, **changes))
  s = e.eval
  kernel, hyper = rpe.parse(encoding)
  if (
    rpe.is_file(kernel)
    and not hyper
    and (rpe.name_of(kernel) == rpe.name_of(e.model.rpe))
  ):
    encoding = ''  # that of the run itself, which is loaded now
  path = eval_table.path(workdir, s, source, out, encoding)
  layout = mesh.layout(config.Parallel(), ordered=True)
  r = runs.load(workdir, step, layout, text=not source)
  about_encoding = e.model.label
  if encoding:
    r = runs.scored_as(r, encoding)
    about_encoding = f'{r.config.model.label} (trained: {e.model.label})'
  window_certificate.check(r.model, r.params, s.window)
  if source:
    asked.check_other(source, e)
    r = r.on(
      multihost.every(lambda: _other(workdir, s, source, separator, field))
    )
    if e.model.kind != 'decoder':
      there = dataclasses.replace(e.data, source=source)
      asked.checked(r.text(), dataclasses.replace(e, data=there))
  text, longest = r.text(), max(s.lengths)
  for record, params in r.model.rpe_rows(r.params):
    rpe_check.check(record, e.model.H, longest, params)
  for record in set(r.model.encodings):
    rpe_check.check_parts(record, e.model.H, e.train.T)
  about = dict(rpe=about_encoding, seed=e.seed, train_length=e.train.T)
  about |= dict(split=s.split, protocol=s.protocol, step=r.step)
  about |= dict(run=runs.run_id(e), targets=s.tokens)
  about |= dict(source=source or e.data.source)
  if isinstance(text, data.Drawn):
    return _of_sizes(r, e, path, about, lease)
  within, probed = e.data.within, isinstance(text, data.Generated)
  if isinstance(text, data.Generated):
    plan: dict[int, Any] = answers.plan(text, s)
    offsets, within = np.zeros(1, np.int64), False
  else:
    offsets = text.offsets(s.split)
    read = offsets if within else offsets[[0, -1]]
    plan = {
      n: eval_windows.windows(read, n, s.protocol, longest, s.tokens)
      for n in sorted(set(s.lengths))
    }
  multihost.first(lambda: _writable(path.parent))
  bias = jax.tree.map(np.asarray, r.model.bias(r.params, longest))
  rows, curves = [], {}
  with preemption.Preemption() as notice:
    for n, windows in plan.items():
      score = answers.one_length if probed else one_length
      row, curves[n] = score(r, s, n, windows, bias, notice)
      crossing = 0 if probed else eval_windows.crossing(windows, offsets)
      about |= dict(crosses_documents=crossing, within_documents=int(within))
      rows.append({**about, **row, **runs.provenance()})
  multihost.first(lambda: _write(path, rows, curves, e.train.T, lease))
  extra = () if s.window == 'full' else ('window_error', 'window_error_mean')
  columns = COLUMNS + extra
  if probed:
    columns = answers.COLUMNS + (('window',) if extra else ())
  log.info('%s', table.text(rows, columns))
  if any(row['crosses_documents'] for row in rows):
    log.info(
      'crosses_documents: windows with tokens of several documents, which '
      'training reads too (data.windows = %s)', e.data.windows,
    )  # fmt: skip
  count = targets = 0
  if within:
    count, targets = eval_windows.shorter(plan[longest], offsets, longest)
  if count:
    log.info(
      'length %s: %s of %s targets are in shorter documents (%s), which are '
      'read whole', f'{longest:,}', f'{targets:,}',
      f'{rows[-1]["tokens"]:,}', f'{count:,}',
    )  # fmt: skip
  log.info('wrote %s; .png, -position.png, -position-*.npy beside it', path)
  return rows


def _of_sizes(
  r: runs.Trained,
  e: config.Experiment,
  path: pathlib.Path | epath.Path,
  about: dict,
  lease: leases.Lease | None,
) -> list[dict]:
  """`evaluate` of a run that reads places, at `eval.sizes`."""
  text, rows, means = r.text(), [], {}
  assert isinstance(text, data.Drawn)
  plan = size_sweep.plan(text, e)
  multihost.first(lambda: _writable(path.parent))
  with preemption.Preemption() as notice:
    for name, numbers in plan.items():
      row, means[name] = size_sweep.one_size(r, e, name, numbers, notice)
      extra = dict(crosses_documents=0, within_documents=0)
      rows.append({**about, **row, **extra, **runs.provenance()})
  mass = mass_by_distance.of_run(r, e)
  multihost.first(lambda: _write_sizes(path, rows, means, mass, e, lease))
  log.info('%s', table.text(rows, size_sweep.COLUMNS))
  log.info('wrote %s; .png, -places.png, -attention.png beside it', path)
  return rows


def _write_sizes(
  path: pathlib.Path | epath.Path,
  rows: list[dict],
  means: dict[str, np.ndarray],
  mass: mass_by_distance.Mass | None,
  e: config.Experiment,
  lease: leases.Lease | None,
) -> None:
  with _outputs(path, lease) as folder:
    every = eval_table.merged(path, rows)
    alike = [row for row in every if eval_table.alike(row, rows[0])]
    what = size_plot.value_of(rows)
    size_plot.sizes(folder / f'{path.stem}.png', {e.data.source: alike})
    if e.model.pool:  # one answer, of no place
      means = {}
    if means:
      size_plot.places(
        folder / f'{path.stem}-places.png', means, asked.within(e),
        size_plot.NAMES[what],
      )  # fmt: skip
    for name, mean in means.items():
      np.save(folder / f'{path.stem}-places-{name}.npy', mean)
    if mass is not None:
      size_plot.masses(folder / f'{path.stem}-attention.png', *mass)
      np.save(folder / f'{path.stem}-attention.npy', np.stack(mass))
    table.write(folder / path.name, every)


@contextlib.contextmanager
def _outputs(
  path: pathlib.Path | epath.Path, lease: leases.Lease | None
) -> Iterator[pathlib.Path]:
  """A folder whose files are named beside `path` once all are written."""
  if lease:  # before a lock file is made, and again before files are named
    lease.check()
  with (
    eval_table.turn(path),
    files.outputs(path.parent, last=path.name) as folder,
  ):
    yield folder
    if lease:
      lease.check()


def _writable(folder: os.PathLike) -> None:
  try:
    files.writable(folder)
  except OSError as e:
    raise OSError(f'{e}, or give another one with --out=DIR') from None


def _other(
  workdir: str, s: config.Eval, source: str, separator: str, field: str
) -> data.Dataset:
  """Another text in the tokens of a run."""
  tokenizer = os.path.join(workdir, 'tokenizer.json')
  if not os.path.exists(tokenizer):
    raise FileNotFoundError(
      f'{tokenizer} is not there, which reads another text; train with this '
      '--workdir again, which writes it'
    )
  # The split itself, where the text has one; else all of it.
  whole: Any = {s.split: source} if s.split != 'train' else {}
  return data.prepare(
    source=source,
    tokenizer=tokenizer,
    separator=separator,
    field=field,
    **whole,
  )


def _write(
  path: pathlib.Path | epath.Path,
  rows: list[dict],
  curves: dict[int, np.ndarray],
  train_length: int,
  lease: leases.Lease | None,
) -> None:
  counts = {row['length']: row['windows'] for row in rows}
  with _outputs(path, lease) as folder:
    every = eval_table.merged(path, rows)
    alike = [row for row in every if eval_table.alike(row, rows[0])]
    for n, curve in curves.items():
      np.save(folder / f'{path.stem}-position-{n}.npy', curve)
    figure = folder / f'{path.stem}-position.png'
    plot.positions(figure, curves, counts, train_length)
    plot.lengths(folder / f'{path.stem}.png', alike)
    table.write(folder / path.name, every)


def _sizes(text: str) -> tuple[str, ...]:
  return tuple(values.items(text))


def main(argv: list[str]) -> None:
  preemption.exit_on_sigterm()
  parser = cli.parser(__doc__)
  add = parser.add_argument
  add(
    '--workdir',
    type=paths.path,
    required=True,
    metavar='DIR',
    help='the folder of a run',
  )
  add('--lengths', type=flags.wholes, metavar='N,N,...',
      help="default: the run's eval.lengths")  # fmt: skip
  add('--sizes', type=_sizes, metavar='16x32,..',
      help="of places; default: the run's eval.sizes")  # fmt: skip
  add('--protocol', help='nonoverlap | sliding:STRIDE | last:K')
  add('--split', help='train | valid | test')
  add('--tokens', type=int, help='targets scored at every length; 0 is all')
  add('--batch_tokens', type=int, help='tokens per forward pass')
  add('--window', help='keys a query sees: full | N | certified:ERROR')
  add('--source', default='', help='another text, as config.data.source')
  add('--separator', default='', help='between its documents')
  add('--field', default='', help='of the text in its records')
  add('--out', type=paths.path, metavar='DIR',
      help='folder; default: DIR/eval')  # fmt: skip
  add('--step', type=int, help='of the checkpoint; default: the newest')
  add('--rpe', dest='encoding', type=flags.checked(rpe.named),
      help='score under another encoding, of parameters that the run has; or '
      'the file of your own that it was trained with, which is run',
      metavar='SPEC')  # fmt: skip
  multihost.add_flags(parser)
  args = parser.parse_args(argv)
  processes = multihost.pop_flags(args)
  compilation_cache.enable()
  args = {k: v for k, v in vars(args).items() if v is not None}
  about = dict(evaluate=args, encodings=rpe.digests())
  with multihost.group(processes, **about):
    evaluate(**args)


if __name__ == '__main__':
  cli.run(main)
