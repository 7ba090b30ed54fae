"""Which runs a sweep has, and how far each of them is."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator

from ml_collections import ConfigDict

from extrapolation import config, evaluate, lease, protocol, rpe, run, table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The section `sweep` of a config.

  rpe: encodings parted by commas, `all` for every one; hyperparameters follow
    a colon: `alibi,power:exponent=0.5,t5:buckets=64:max_distance=256`.
  """

  rpe: str
  seeds: tuple


def changes(c: ConfigDict) -> Iterator[tuple[str, dict[str, str]]]:
  """(folder name, overrides of `c`) of every run, seed by seed.

  Raises:
    ValueError: seeds that are not whole numbers, or a run given twice.
  """
  s = Settings(**config.bind('sweep', Settings, c.sweep))
  names = rpe.names() if s.rpe == 'all' else s.rpe.split(',')
  if not s.seeds or not all(isinstance(n, int) for n in s.seeds):
    raise ValueError(f'sweep.seeds = {s.seeds!r}: needs whole numbers')
  made = set()
  for seed in s.seeds:  # so that a partial sweep tells something
    for spec in names:
      name, hyper = rpe.parse(spec)
      found = {'model.rpe': name, 'seed': str(seed)}
      found |= {f'model.rpe_args.{k}': value for k, value in hyper.items()}
      folder = re.sub(r'[^\w.=-]+', '-', spec.strip()) + f'-s{seed}'
      if folder in made:
        raise ValueError(
          f'sweep.rpe = {s.rpe}, sweep.seeds = {s.seeds}: run {folder!r} is '
          'given twice; name each encoding and seed once'
        )
      made.add(folder)
      yield folder, found


def runs(c: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
  """(folder name, config) of every run.

  Raises:
    ValueError: an encoding, hyperparameter or seed that does not exist.
  """
  for name, found in changes(c):
    yield name, config.override(c, found)


def record(workdir: str, c: ConfigDict) -> None:
  """Writes what the sweep is to `DIR/sweep.json`, for its report.

  Raises:
    OSError: a folder that cannot be written in.
  """
  try:
    pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
    run.write_json(pathlib.Path(workdir) / 'sweep.json', c.to_dict())
  except OSError as e:
    raise run.cannot_write(workdir, e) from None


def read(workdir: str) -> list[tuple[str, ConfigDict]]:
  """(folder name, config) of every run, from the folder of a sweep alone.

  Raises:
    ValueError: a folder that no sweep was made in.
  """
  folder = pathlib.Path(workdir)
  if (folder / 'sweep.json').exists():
    return list(runs(run.load_config(workdir, 'sweep.json')))
  found = sorted(path.parent for path in folder.glob('*/config.json'))
  if not found:
    raise ValueError(
      f'{workdir!r} is not the folder of a sweep: no sweep.json and no runs '
      'in it; make one with python -m extrapolation.sweep'
    )
  return [(path.name, run.load_config(str(path))) for path in found]


def finished(folder: str, c: ConfigDict) -> list[dict]:
  """The rows of a run that is trained and evaluated as `c` says; else none.

  Raises:
    ValueError: the folder holds a run of another config.
  """
  if not pathlib.Path(folder, 'config.json').exists():
    return []
  run.same_config(folder, c)
  path = evaluate.csv_path(folder, protocol.Settings(**c.eval.to_dict()))
  if run.load_config(folder).eval != c.eval or not path.exists():
    return []
  rows = table.read(path)
  fits = {row['length'] for row in rows} == set(c.eval.lengths)
  return rows if fits and rows[0]['step'] == c.train.steps else []


def fail(folder: str, error: Exception) -> None:
  """Leaves word of a failure, for the workers that did not see it."""
  fault = isinstance(error, (ValueError, FloatingPointError))
  why = f'{type(error).__name__}: {error}'
  # Another machine may have the disk or the memory; another loss it has not.
  about = dict(why=why, fault='run' if fault else 'machine')
  run.write_json(pathlib.Path(folder) / 'failed.json', about)


def failure(folder: str) -> tuple[int, dict] | None:
  """When (ns, to be compared for equality) and why a run failed, if it did."""
  path = pathlib.Path(folder) / 'failed.json'
  try:
    return path.stat().st_mtime_ns, json.loads(path.read_text())
  except (OSError, ValueError):
    return None


def state(folder: str, c: ConfigDict) -> str:
  """How far a run is, in words.

  Raises:
    ValueError: the folder holds a run of another config.
  """
  if finished(folder, c):
    return 'finished'
  claim = lease.look(folder)
  by = f', by {claim.who}' if claim and not claim.free else ''
  failed = failure(folder)
  if failed and not by:
    return f'failed: {failed[1]["why"]}'
  if not pathlib.Path(folder, 'metrics.jsonl').exists():
    return f'just begun{by}' if by else 'not begun'
  step = max((row['step'] for row in run.read_metrics(folder)), default=0)
  if step >= c.train.steps:
    return f'trained, not evaluated at all lengths{by}'
  return f'trained {step:,} of {c.train.steps:,} steps{by}'
