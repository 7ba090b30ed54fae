"""Runs to evidence: one CSV, one table for people, one figure."""

import pathlib
import statistics

from extrapolation import plot, table


def by_encoding(rows: list[dict], value: str = 'ppl') -> list[dict]:
  """A row an encoding, a column a length: `median [min .. max]` over seeds."""
  lengths = sorted({row['length'] for row in rows})
  lines = []
  for name in dict.fromkeys(row['rpe'] for row in rows):
    line = {'encoding': name}
    for n in lengths:
      seeds = [r[value] for r in rows if (r['rpe'], r['length']) == (name, n)]
      line[f'{n:,}'] = _spread(seeds)
    lines.append(line)
  return lines


def _spread(values: list[float]) -> str:
  if not values:
    return '-'
  show = lambda x: f'{x:.2f}' if x < 100 else f'{x:,.0f}'  # noqa: E731
  middle = show(statistics.median(values))
  if len(values) == 1:
    return middle
  return f'{middle} [{show(min(values))}..{show(max(values))}]'


def write(workdir: str, rows: list[dict]) -> None:
  """Writes `DIR/sweep.csv` and `DIR/sweep.png`, and prints the table."""
  folder = pathlib.Path(workdir)
  table.write(folder / 'sweep.csv', rows)
  first = rows[0]
  title = (
    f'trained at {first["train_length"]}, {first["split"]} text, '
    f'{first["tokens"]:,} targets, {first["protocol"]}'
  )
  plot.lengths(folder / 'sweep.png', rows, title=title)
  lines = by_encoding(rows)
  seeds = len({row['seed'] for row in rows})
  print(
    f'\nperplexity by length, median [min..max] of {seeds} seeds; {title}\n'
  )
  print(table.text(lines, lines[0]))
  print(f'\nwrote {folder / "sweep.csv"} and {folder / "sweep.png"}')
