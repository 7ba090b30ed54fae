"""Rows of results, as CSV and as text for people."""

import csv
import pathlib
from collections.abc import Iterable


def write(path: pathlib.Path, rows: list[dict]) -> None:
  """Writes all rows as CSV, or nothing."""
  temporary = path.with_suffix('.tmp')
  columns = list(dict.fromkeys(key for row in rows for key in row))
  with open(temporary, 'w', newline='') as f:
    writer = csv.DictWriter(f, columns)
    writer.writeheader()
    writer.writerows(rows)
  temporary.replace(path)


def read(path: pathlib.Path) -> list[dict]:
  """Rows of a CSV that `write` wrote; numbers are numbers again."""
  with open(path, newline='') as f:
    return [
      {k: _number(v) for k, v in row.items()} for row in csv.DictReader(f)
    ]


def _number(text: str):
  for kind in (int, float):
    try:
      return kind(text)
    except ValueError:
      continue
  return text


def text(rows: list[dict], columns: Iterable[str]) -> str:
  """Rows as aligned columns."""
  cells = [list(columns)]
  cells += [[_cell(row[c]) for c in columns] for row in rows]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  return '\n'.join(
    '  '.join(c.rjust(w) for c, w in zip(line, widths, strict=True)).rstrip()
    for line in cells
  )


def _cell(value) -> str:
  if isinstance(value, float):
    return f'{value:.4g}' if value < 1e4 else f'{value:.3g}'
  return f'{value:,}' if isinstance(value, int) else str(value)
