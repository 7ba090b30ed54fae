"""One run measured: every cell of a grid, beside what theory says."""

import os
from typing import NamedTuple

from extrapolation import config, data, rpe, runs
from extrapolation.data.probes import Probe
from extrapolation.output import progress
from extrapolation.probe import answers, forward, predicted
from extrapolation.probe.grid import Grid, Settings
from extrapolation.rpe import check
from extrapolation.runs import asked, run_folder


class Study(NamedTuple):
  """A run measured.

  Attributes:
    cells: a row for each, by length and distance.
    predicted: by length, what theory says of the reach.
  """

  cells: list[dict]
  predicted: dict[int, dict]


def examples_of(workdir: str, probe: Probe) -> data.Examples:
  """A probe in the tokens of a run.

  Raises:
    ValueError: a run without the vocabulary of the probe.
    OSError: no tokenizer there.
  """
  tokenizer = run_folder.tokenizer(workdir)
  if tokenizer is None:
    raise FileNotFoundError(
      f'{os.path.join(workdir, "tokenizer.json")} is not there; train with '
      'this --workdir again, which writes it'
    )
  try:
    return data.Examples.of(probe, tokenizer)
  except ValueError as e:
    raise ValueError(f'{workdir} has not the vocabulary: {e}') from None


def load(workdir: str, step: int | None, encoding: str = '') -> runs.Trained:
  """A run without its text, read under another encoding if one is named.

  Raises:
    ValueError, OSError: as `runs.load` and `runs.scored_as`.
  """
  asked.decoder(runs.load_config(workdir), 'a probe')
  run = runs.load(workdir, step, text=False)
  return runs.scored_as(run, encoding) if encoding else run


def other(e: config.Experiment, encoding: str) -> str:
  """`encoding`, or '' where it is the file of his own that the run is of."""
  kernel, hyper = rpe.parse(encoding)
  own = rpe.name_of(kernel) == rpe.name_of(e.model.rpe)
  return '' if rpe.is_file(kernel) and own and not hyper else encoding


def measure(
  run: runs.Trained,
  examples: data.Examples,
  grid: Grid,
  settings: Settings,
  trained_as: str = '',
) -> Study:
  """Asks a run in all cells.

  Args:
    trained_as: label of its encoding, where it is scored under another.

  Raises:
    ValueError: an encoding that cannot be used at the longest length.
  """
  e, model, longest = run.config, run.model, grid.lengths[-1]
  probe, T = examples.probe, e.train.T
  for record, params in model.rpe_rows(run.params):
    check.check(record, e.model.H, longest, params)
  label = e.model.label
  if trained_as:
    label += f' (trained: {trained_as})'
  about = dict(encoding=label, run=runs.run_id(e), seed=e.seed)
  about |= dict(probe=probe.label, train_length=T, step=run.step)
  about |= dict(example_seed=settings.seed, chance=probe.chance)
  where = runs.provenance()
  known = predicted.read(model, run.params, max(longest, T))
  ask = forward.make(model, run.params)
  cells = {n: grid.cells(probe, n) for n in grid.lengths}
  tokens = [n * len(d) * settings.examples for n, d in cells.items()]
  loop = progress.Loop(f'{label} {probe.label}', sum(tokens), tokens=1)
  done, rows = 0, []

  def advance(n: int) -> None:
    nonlocal done
    done += n
    loop.update(done)

  for n, distances in cells.items():
    if not distances:
      continue
    cost = predicted.costs(known, n)
    scores = answers.measure(ask, examples, n, distances, settings, advance)
    for d, of in scores.items():
      row = dict(about, length=n, distance=d, **answers.summary(of))
      row |= dict(cost=None if cost is None else float(cost[d]))
      rows.append(row | where)
  loop.close()
  measured = sorted({row['length'] for row in rows})
  return Study(rows, predicted.reaches(known, measured, T))
