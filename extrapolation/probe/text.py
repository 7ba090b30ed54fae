"""Cells and reaches as tables for people."""

from collections.abc import Sequence

from extrapolation.output import table
from extrapolation.runs.probe_table import half


def accuracy(cells: Sequence[dict]) -> str:
  """A row per distance, a column per length."""
  first = cells[0]
  lengths, distances = (
    sorted({row[key] for row in cells}) for key in ('length', 'distance')
  )
  at = {(row['distance'], row['length']): row['accuracy'] for row in cells}
  rows = []
  for d in distances:
    shown = {
      f'{n:,}': f'{at[d, n]:.2f}' if (d, n) in at else '' for n in lengths
    }
    rows.append({'distance': d, **shown})
  caption = (
    f'{first["encoding"]}, seed {first["seed"]}: accuracy, '
    f'probe {first["probe"]}, {conditions(first)}'
  )
  return f'{caption}\n\n{table.text(rows, rows[0])}'


def reaches(rows: Sequence[dict]) -> str:
  """Measured and predicted, a row per length."""
  windowed = any(row['in_sight'] is not None for row in rows)
  lines = [
    {
      'length': row['length'],
      'reach': span(row['reach'], row['low'], row['high']),
      'farthest': row['farthest'],
      **({'in sight': row['in_sight']} if windowed else {}),
      'predicted': span(
        *(row[f'predicted{end}'] for end in ('', '_low', '_high'))
      ),
    }
    for row in rows
  ]
  first = rows[0]
  said = first['why'] or (
    'where half of the attention is on the needle, for a gap of '
    f'{first["gap"]:.2f} nats [{nats(first["gap_low"])}..'
    f'{nats(first["gap_high"])}]'
  )
  caption = (
    'reach at 50 %: the largest distance with accuracy '
    f'{half(first["chance"]):.2f} or more there and at all nearer ones '
    f'[by the ends of the 95 % intervals]\npredicted: {said}'
  )
  if windowed:
    caption += (
      '\nin sight: the farthest key that a head sees; what is farther comes '
      'through several layers'
    )
  return f'{caption}\n\n{table.text(lines, lines[0])}'


def conditions(row: dict) -> str:
  """How a cell was measured: `32 needles per cell, window SPEC`."""
  n, spec = row['examples'], row.get('window', 'full')
  per_cell = f'{n} needle{"" if n == 1 else "s"} per cell'
  return per_cell if spec == 'full' else f'{per_cell}, window {spec}'


def nats(x: float | str | None) -> str:
  """An end of an interval; nothing where it has none."""
  return f'{x:.2f}' if isinstance(x, float) else ''


def span(value: int | str | None, low: int | None, high: int | None) -> str:
  """`value [low..high]`; '-' where there is none."""
  if not isinstance(value, int | float):
    return '-'
  return f'{table.number(value)} [{low}..{high}]'
