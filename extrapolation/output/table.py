"""Rows of results, as CSV and as text for people."""

import csv
import decimal
import io
import os
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from extrapolation.output import files, plain_file, signed

TEXT = ('commit', 'rpe', 'run')  # never numbers, whatever they look like
WIDE = 10_000  # columns of text: lines are as long as their table


def write(path: str | os.PathLike, rows: Sequence[dict]) -> None:
  """An atomic write of rows as CSV, digested each; floats keep all bits."""
  columns = list(dict.fromkeys(key for row in rows for key in row))
  text = io.StringIO(newline='')
  writer = csv.DictWriter(text, [*columns, signed.KEY])
  writer.writeheader()
  for row in rows:
    cells = {key: _cell(row.get(key)) for key in columns}
    writer.writerow(signed.sign(cells))
  files.write_text(path, text.getvalue())


def _cell(value: float | str | None) -> str:
  return '' if value is None else str(value)


def read(path: str | os.PathLike) -> list[dict]:
  """Rows of a CSV that `write` wrote; numbers are numbers again.

  Raises:
    signed.Damaged: a row is not what was written, or it is no table.
    OSError: it cannot be read.
  """
  try:
    text = io.StringIO(plain_file.read(path).decode(), newline='')
    rows = list(csv.DictReader(text, strict=True))
  except (ValueError, csv.Error) as e:
    raise signed.Damaged(f'{path} is not a table: {e}') from None
  out = []
  for i, row in enumerate(rows, 1):
    if None in row or None in row.values():
      raise signed.Damaged(f'{path}, row {i}, has not a cell in every column')
    row = signed.check(row, f'{path}, row {i},')
    out.append({key: _value(key, cell) for key, cell in row.items()})
  return out


def _value(key: str, cell: str) -> int | float | str:
  for kind in () if key in TEXT else (int, float):
    try:
      value = kind(cell)
    except ValueError:
      continue
    if str(value) == cell:  # a commit such as 5e12345 is no number
      return value
  return cell


def text(rows: Sequence[dict], columns: Iterable[str]) -> str:
  """Rows as aligned columns, numbers as of `number`."""
  grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
  columns = list(columns)
  for name in columns:
    grid.add_column(name, justify='right', no_wrap=True)
  for row in rows:
    grid.add_row(*(number(row[name]) for name in columns))
  lines = io.StringIO()
  Console(
    file=lines, width=WIDE, color_system=None, markup=False, emoji=False
  ).print(grid)
  return '\n'.join(map(str.rstrip, lines.getvalue().splitlines()))


def number(value: int | float | str | None, digits: int = 4) -> str:
  """How tables show a value: '-' for None, words as they are.

  Whole numbers are in full below 10^9, others to so many digits.
  """
  if value is None or isinstance(value, str):
    return '-' if value is None else value
  if isinstance(value, int):
    if abs(value) < 10**9:
      return f'{value:,}'
    return f'{decimal.Decimal(value):.2e}'
  return f'{value:.{digits}g}' if value < 1e4 else f'{value:.3g}'
