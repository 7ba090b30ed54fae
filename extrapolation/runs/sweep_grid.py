"""Which runs a sweep has, and how far each of them is."""

import functools
import logging
import pathlib
import re
from collections.abc import Iterator

from extrapolation import config, rpe
from extrapolation.cli import values
from extrapolation.output import files, signed, table
from extrapolation.rpe import check
from extrapolation.runs import identity, leases, run_folder
from extrapolation.runs.metrics import read_metrics

log = logging.getLogger(__name__)


def run_overrides(e: config.Experiment) -> Iterator[tuple[str, dict[str, str]]]:
  """(folder name, overrides of `e`) of every run, seed by seed.

  Encodings are separated by commas, `all` is every one; hyperparameters follow
  a colon: `alibi,power:exponent=0.5,t5:buckets=64:max_distance=256`.

  Raises:
    ValueError: seeds that are not whole numbers, or a run given twice.
  """
  s = e.sweep
  names = values.items(s.rpe) or ('',)  # which is refused
  if s.rpe == 'all':
    left_out = broken(e)
    names = [name for name in rpe.names() if name not in left_out]
  if not s.seeds or not all(isinstance(n, int) for n in s.seeds):
    raise ValueError(f'sweep.seeds = {s.seeds!r}: needs whole numbers')
  made = set()
  for seed in s.seeds:  # so that a partial sweep tells something
    for spec in names:
      name, hyper = rpe.parse(spec)
      overrides = {'model.rpe': name, 'seed': str(seed)}
      overrides |= {f'model.rpe_args.{k}': v for k, v in hyper.items()}
      folder = re.sub(r'[^\w.=-]+', '-', spec.strip()) + f'-s{seed}'
      if folder in made:
        raise ValueError(
          f'sweep.rpe = {s.rpe}, sweep.seeds = {s.seeds}: run {folder!r} is '
          'given twice; name each encoding and seed once'
        )
      made.add(folder)
      yield folder, overrides


def broken(e: config.Experiment) -> dict[str, str]:
  """Encodings that a sweep of `all` leaves out, and why."""
  if e.sweep.rpe != 'all':
    return {}
  return _broken(e.model.H, e.train.T)


@functools.cache
def _broken(H: int, T: int) -> dict[str, str]:
  found = check.usable(H, T)[1]
  for why in found.values():
    log.warning('left out: %s', why)
  return found


def experiments(
  e: config.Experiment,
) -> Iterator[tuple[str, config.Experiment]]:
  """(folder name, experiment) of every run.

  Raises:
    ValueError: an encoding, hyperparameter or seed that does not exist.
  """
  for name, overrides in run_overrides(e):
    yield name, config.override(e, overrides)


def record(workdir: str, e: config.Experiment) -> None:
  """Writes what the sweep is to `DIR/sweep.json`, for its report.

  Raises:
    OSError: a folder that cannot be written in.
  """
  try:
    files.make_folder(workdir)
    signed.write(pathlib.Path(workdir) / 'sweep.json', e.to_dict())
  except OSError as error:
    raise files.cannot_write(workdir, error) from None


def read(workdir: str) -> list[tuple[str, config.Experiment]]:
  """(folder name, config) of every run, from the folder of a sweep alone.

  Raises:
    ValueError: a folder that no sweep was made in.
  """
  folder = pathlib.Path(workdir)
  if (folder / 'sweep.json').exists():
    return list(experiments(run_folder.load_config(workdir, 'sweep.json')))
  folders = sorted(path.parent for path in folder.glob('*/config.json'))
  if not folders:
    raise ValueError(
      f'{workdir!r} is not the folder of a sweep: no sweep.json and no runs '
      'in it; make one with python -m extrapolation.sweep'
    )
  return [(path.name, run_folder.load_config(str(path))) for path in folders]


def evaluated_rows(folder: str, e: config.Experiment) -> list[dict]:
  """The rows of a run that is trained and evaluated as `e` says; else none.

  A table that is damaged is named, and counts as none: it is made again.

  Raises:
    ValueError: the folder holds a run of another config.
  """
  if not pathlib.Path(folder, 'config.json').exists():
    return []
  try:
    run_folder.same_config(folder, e)
    path = run_folder.csv_path(folder, e.eval)
    if run_folder.load_config(folder).eval != e.eval or not path.exists():
      return []
    rows = table.read(path)
    return rows if _complete(rows, e) else []
  except signed.Damaged as error:
    _warn(str(error))
    return []


def _complete(rows: list[dict], e: config.Experiment) -> bool:
  return {row.get('length') for row in rows} == set(e.eval.lengths) and all(
    row.get('step') == e.train.steps
    and row.get('run', identity.run_id(e)) == identity.run_id(e)
    for row in rows
  )


@functools.cache  # workers look again and again
def _warn(text: str) -> None:
  log.warning('%s', text)


def fail(folder: str, error: Exception) -> None:
  """Leaves word of a failure, for the workers that did not see it."""
  fault = isinstance(error, (ValueError, FloatingPointError))
  why = f'{type(error).__name__}: {error}'
  # Another machine may have the disk or the memory; another loss it has not.
  about = dict(why=why, fault='run' if fault else 'machine')
  signed.write(pathlib.Path(folder) / 'failed.json', about)


def failure(folder: str) -> tuple[int, dict] | None:
  """When (ns, to be compared for equality) and why a run failed, if it did."""
  path = pathlib.Path(folder) / 'failed.json'
  try:
    about = signed.read(path)
    return path.stat().st_mtime_ns, dict(why=about['why'], fault=about['fault'])
  except (OSError, ValueError, KeyError):
    return None


def status(
  folder: str, e: config.Experiment, own: leases.Lease | None = None
) -> str:
  """How far a run is, in words; who works on it, unless that is `own`.

  Raises:
    ValueError: the folder holds a run of another config.
  """
  if evaluated_rows(folder, e):
    return 'finished'
  claim = leases.look(folder)
  by = f', by {claim.who}' if claim and not claim.free and not own else ''
  failed = failure(folder)
  if failed and not by:
    return f'failed: {failed[1]["why"]}'
  if not pathlib.Path(folder, 'metrics.jsonl').exists():
    return f'just begun{by}' if by else 'not begun'
  step = max((row['step'] for row in read_metrics(folder)), default=0)
  if step >= e.train.steps:
    return f'trained, not evaluated at all lengths{by}'
  return f'trained {step:,} of {e.train.steps:,} steps{by}'
