"""The runs of a sweep as their folders tell, and their numbers by encoding."""

import dataclasses
import math
import pathlib
import statistics
from collections.abc import Iterator, Sequence

from extrapolation import config, runs
from extrapolation.data import probes
from extrapolation.output import signed
from extrapolation.runs import probe_table, sweep_grid


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a sweep, as its folder tells."""

  name: str
  folder: str
  config: config.Experiment
  state: str
  rows: list[dict]  # of the evaluation; none unless it is finished
  metrics: list[dict]
  # Of the probe, where `eval.probe` names one: its cells, and reach by length.
  cells: list[dict] = dataclasses.field(default_factory=list)
  reaches: list[dict] = dataclasses.field(default_factory=list)

  @property
  def label(self) -> str:
    return sweep_grid.label(self.config)


def read(workdir: str) -> list[Run]:
  """Every run of a sweep.

  One that is damaged is named as its state, and has no numbers.

  Raises:
    ValueError: the folder of no sweep, or of runs of another config.
  """
  out, first = [], ''  # the first that has numbers; others are beside it
  for name, e in sweep_grid.read(workdir):
    folder = str(pathlib.Path(workdir) / name)
    path = pathlib.Path(folder) / 'metrics.jsonl'
    try:
      metrics = runs.read_metrics(folder) if path.exists() else []
      rows = sweep_grid.evaluated_rows(folder, e)
      runs.same_encoding(folder, e)
      if rows and first:
        _same_text(folder, first)
      first = first or (folder if rows else '')
      state = sweep_grid.status(folder, e)
    except (signed.Damaged, OSError) as error:
      metrics, rows, state = [], [], f'damaged: {error}'
    probe = _probe(folder, e) if rows and e.eval.probe else ([], [])
    out.append(Run(name, folder, e, state, rows, metrics, *probe))
  return out


def _probe(folder: str, e: config.Experiment) -> Iterator[list[dict]]:
  """Cells and reaches of a run whose rows say that it has both."""
  for rows in probe_table.read(folder, e):
    yield [{**row, 'encoding': sweep_grid.label(e)} for row in rows]


def _same_text(folder: str, first: str) -> None:
  """Raises Damaged if a run was trained on another text than the first."""
  try:
    ours, theirs = (sweep_grid.text(f) for f in (folder, first))
  except OSError:
    return  # of before it was written down
  if ours != theirs:
    raise signed.Damaged(
      f'it was trained on another text, or in other tokens, than {first}'
    )


def by_encoding(rows: Sequence[dict], value: str = 'ppl') -> list[dict]:
  """A row per encoding, a column per length: `median [min..max]` of seeds."""
  lengths = sorted({row['length'] for row in rows})
  lines = []
  for name in dict.fromkeys(row['rpe'] for row in rows):
    line = {'encoding': name}
    for n in lengths:
      seeds = [r[value] for r in rows if (r['rpe'], r['length']) == (name, n)]
      line[f'{n:,}'] = spread(seeds)
    lines.append(line)
  return lines


def spread(values: Sequence[float], digits: int = 2) -> str:
  """`median [min..max]`."""
  if not values:
    return '-'

  def show(x: float) -> str:
    return f'{x:.{digits}f}' if x < 100 else f'{x:,.0f}'

  if any(map(math.isnan, values)):
    return 'nan'
  median = show(statistics.median(values))
  if len(values) == 1:
    return median
  return f'{median} [{show(min(values))}..{show(max(values))}]'


def title(rows: Sequence[dict]) -> str:
  """What the rows of a sweep have in common."""
  first = rows[0]
  where, split = f'trained at {first["train_length"]}', first['split']
  if has_answers(rows):
    name = str(first['source']).removeprefix(probes.PREFIX)
    return (
      f'{where}, {first["tokens"]:,} answers of {split} examples, probe {name}'
    )
  return (
    f'{where}, {split} text, {first["tokens"]:,} targets, {first["protocol"]}'
  )


def has_answers(rows: Sequence[dict]) -> bool:
  """Whether rows are of a probe, where answers alone are scored."""
  return str(rows[0].get('source', '')).startswith(probes.PREFIX)
