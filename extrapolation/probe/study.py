"""One run measured: every cell of a grid, beside what theory says."""

import os
from collections.abc import Mapping
from typing import NamedTuple

import jax

from extrapolation import config, data, rpe, runs
from extrapolation.data import probes
from extrapolation.data.probes import Probe
from extrapolation.evaluation import window_certificate
from extrapolation.evaluation.window_certificate import Windows
from extrapolation.output import progress
from extrapolation.parallel import mesh, preemption
from extrapolation.predict import law
from extrapolation.probe import answers, forward, predicted
from extrapolation.probe.grid import Grid, Settings
from extrapolation.rpe import check
from extrapolation.runs import asked, run_folder


class Study(NamedTuple):
  """A run measured.

  Attributes:
    cells: a row for each, by length and distance.
    predicted: by length, what theory says of the reach.
    keys: by length, how many each head saw; None of all, and where a window is
      a difference of a clock.
  """

  cells: list[dict]
  predicted: dict[int, dict]
  keys: Mapping[int, tuple[int, ...] | None]


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


def load(
  workdir: str, step: int | None, encoding: str = '', window: str = 'full'
) -> runs.Trained:
  """A run without its text, read under another encoding if one is named.

  Raises:
    ValueError, OSError: as `runs.load` and `runs.scored_as`, and a window that
      nothing certifies.
  """
  asked.decoder(runs.load_config(workdir), 'a probe')
  layout = mesh.layout(config.Parallel(), ordered=True)
  run = runs.load(workdir, step, layout, text=False)
  if encoding:
    run = runs.scored_as(run, encoding)
  window_certificate.check(run.model, run.params, window)
  return run


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
  """Asks a run in all cells; several processes share the texts of each.

  Args:
    trained_as: label of its encoding, where it is scored under another.

  Raises:
    ValueError: an encoding that cannot be used at the longest length.
    Preempted: a notice to stop, of any process.
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
  about |= dict(window=settings.window)
  where = runs.provenance()
  known = predicted.read(model, run.params, max(longest, T))
  cells = {n: grid.cells(probe, n) for n in grid.lengths}
  cells = {n: distances for n, distances in cells.items() if distances}
  windows = {n: _windows(run, examples, n, settings.window) for n in cells}
  keys = {n: _keys(seen) for n, seen in windows.items()}
  tokens = [n * len(d) * settings.examples for n, d in cells.items()]
  loop = progress.Loop(
    f'{label} {probe.label}', sum(tokens), tokens=1,
    shown=not jax.process_index(),
  )  # fmt: skip
  done, rows = 0, []

  def advance(n: int) -> None:
    nonlocal done
    if notice.due():
      raise preemption.Preempted('stopped by notice; run the same again')
    done += n
    loop.update(done)

  with preemption.Preemption() as notice:
    for n, distances in cells.items():
      texts = len(distances) * settings.examples
      seen = windows[n]
      layout, size = mesh.for_length(n, texts, settings.batch_tokens)
      ask = forward.make(model, run.params, n, layout, seen)
      scores = answers.measure(
        ask, examples, n, distances, settings, size, advance
      )
      cost = predicted.costs(known, n, keys[n])
      for d, of in scores.items():
        row = dict(about, keys=seen.label if seen else '', length=n, distance=d)
        row |= answers.summary(of)
        row |= dict(cost=None if cost is None else float(cost[d]))
        rows.append(row | where)
  loop.close()
  return Study(rows, predicted.reaches(known, keys, T, law.read().gap), keys)


def _windows(
  run: runs.Trained, examples: data.Examples, length: int, spec: str
) -> Windows | None:
  """What each head sees of a text; certified by a long example of the probe."""
  if config.keys_or_error(spec) is None:
    return None
  source = f'{probes.PREFIX}{examples.probe.label}'
  text = data.Generated.of(source, examples, run.tokenizer)
  return window_certificate.windows(spec, run.on(text), length)


def _keys(windows: Windows | None) -> tuple[int, ...] | None:
  """Keys that each head sees, where they are counted; None is all."""
  if windows is None or windows.clock is not None:
    return None
  return windows.keys
