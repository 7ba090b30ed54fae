"""Which runs a sweep has, and how far each of them is."""

import functools
import itertools
import logging
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from extrapolation import config, rpe
from extrapolation.output import files, signed
from extrapolation.runs import (
  eval_table,
  identity,
  leases,
  left_out,
  probe_table,
  run_folder,
)
from extrapolation.runs.metrics import read_metrics

log = logging.getLogger(__name__)


def run_overrides(e: config.Experiment) -> Iterator[tuple[str, dict[str, str]]]:
  """(folder name, overrides of `e`) of every run, seed by seed.

  Encodings are separated by commas, `all` is every one that reads the space of
  `model.kind` and `model.geometry`; hyperparameters follow a colon:
  `alibi,power:exponent=0.5,t5:buckets=64:max_distance=256`. Every one has a run
  for each seed and each combination of the values in `sweep.grid`.

  Raises:
    ValueError: seeds that are not whole numbers, or a run given twice.
  """
  s = e.sweep
  names = s.encodings or ('',)  # which is refused
  if s.rpe == 'all':
    no = {**left_out.broken(e), **left_out.unfit(e)}
    names = [name for name in rpe.names() if name not in no]
  if not s.seeds or not all(isinstance(n, int) for n in s.seeds):
    raise ValueError(f'sweep.seeds = {s.seeds!r}: needs whole numbers')
  made, grid = set(), config.grid_of(s.grid)
  points = [
    dict(zip(grid, chosen, strict=True))
    for chosen in itertools.product(*grid.values())
  ]
  # So that a partial sweep tells something, a seed comes after the other.
  for seed, point in itertools.product(s.seeds, points):
    for spec in names:
      overrides = {'model.rpe': spec, 'seed': str(seed), **point}
      shown = rpe.write(*rpe.parse(spec))
      about = ' '.join([shown, *_settings(point.items())])
      folder = rpe.folder_name(about) + f'-s{seed}'
      if folder in made:
        raise ValueError(
          f'sweep.rpe = {s.rpe}, sweep.seeds = {s.seeds}: run {folder!r} is '
          'given twice; name each encoding, seed and value once, files by '
          'names that differ'
        )
      made.add(folder)
      yield folder, overrides


def _settings(point: Iterable[tuple[str, str]]) -> list[str]:
  """`T=256` for train.T."""
  return [f'{key.rpartition(".")[2]}={value}' for key, value in point]


def label(e: config.Experiment) -> str:
  """What a run is called in tables and figures: all but its seed."""
  sections = e.to_dict()
  point = {}
  for key in config.grid_of(e.sweep.grid):
    node = sections
    for part in key.split('.'):
      node = node[part]
    point[key] = f'{node:g}' if isinstance(node, float) else str(node)
  return ' '.join([e.model.label, *_settings(point.items())])


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
    run_folder.same_encoding(folder, e)
    rows = eval_table.read(
      folder, e.eval, e.train.steps, identity.run_id(e), e.data.within
    )
    if {row['length'] for row in rows} != set(e.eval.lengths):
      return []
    if e.eval.probe and not probe_table.read(folder, e)[0]:
      return []
    return [{**row, 'rpe': label(e)} for row in rows]
  except FileNotFoundError:
    return []
  except signed.Damaged as error:
    _warn(str(error))
    return []


def same_text(folder: str, manifest: Mapping) -> None:
  """Raises ValueError if another run of the sweep has read another text.

  The standard library is another text in another Python, and what a table
  compares must not be texts.

  Args:
    folder: of a run, beside those of the others.
    manifest: of the text that it reads.
  """
  own = pathlib.Path(folder).absolute()
  for path in sorted(own.parent.glob('*/data.json')):
    if path.parent == own:
      continue
    try:
      other = run_folder.text_of(str(path.parent))
    except (signed.Damaged, OSError):
      continue  # it is named where it is read
    if (ours := _text(manifest)) != (theirs := _text(other)):
      keys = [k for k in ours if ours[k] != theirs.get(k)]
      raise ValueError(
        f'{folder!r} reads another text than {path.parent.name!r}: '
        f'{", ".join(keys)} differ (Python {manifest["python"]} here, '
        f'{other["python"]} there); restore it, or give another --workdir'
      )


def text(folder: str) -> dict[str, str]:
  """Digests of the tokens of a run by split, and its tokenizer.

  Raises:
    signed.Damaged: its data.json is none.
    OSError: it has none.
  """
  return _text(run_folder.text_of(folder))


def _text(manifest: Mapping) -> dict[str, str]:
  splits = manifest['splits'].items()
  digests = {split: about['tokens_sha256'] for split, about in splits}
  return digests | dict(tokenizer=manifest['tokenizer']['name'])


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
