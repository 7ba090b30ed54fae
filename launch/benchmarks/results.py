"""Where numbers were made, and the tables they are kept in."""

import csv
import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'results' / 'benchmark'


def commit(checkout: pathlib.Path = ROOT) -> str:
  """The commit of a checkout; ends in -dirty if files of it have changed."""
  git = ['git', '-C', str(checkout), 'describe', '--always', '--dirty']
  done = subprocess.run(git, capture_output=True, text=True, check=False)
  return done.stdout.strip() or 'unknown'


def provenance() -> dict[str, Any]:
  """Where and with what numbers are made."""
  cpuinfo, model = pathlib.Path('/proc/cpuinfo'), ''
  if cpuinfo.exists():
    lines = cpuinfo.read_text().splitlines()
    model = next((x for x in lines if x.startswith('model name')), '')
  return dict(
    date=datetime.date.today().isoformat(),
    commit=commit(),
    cpu=model.partition(': ')[2] or platform.machine(),
    cores=os.cpu_count(),
    python=platform.python_version(),
    jax=importlib.metadata.version('jax'),
    flax=importlib.metadata.version('flax'),
  )


def table(rows: Sequence[dict[str, Any]]) -> str:
  """Aligned columns, without those that are empty in every row."""
  names = [k for k in rows[0] if any(row[k] != '' for row in rows)]
  cells = [names, *([str(row[k]) for k in names] for row in rows)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = []
  for first, *rest in cells:
    right = [x.rjust(w) for x, w in zip(rest, widths[1:], strict=True)]
    lines.append('  '.join([first.ljust(widths[0]), *right]))
  return '\n'.join(lines)


def append(path: pathlib.Path, rows: Sequence[dict[str, Any]]) -> None:
  """Adds rows to a CSV file, which gets a header when it is new.

  Raises:
    ValueError: the file has other columns.
  """
  columns = list(rows[0])
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a+', newline='') as f:
    f.seek(0)
    header = next(csv.reader(f), None)
    if header is not None and header != columns:
      raise ValueError(
        f'{path} has the columns {", ".join(header)}, but the new rows have '
        f'{", ".join(columns)}: give another --out, or move the file'
      )
    writer = csv.DictWriter(f, columns)
    if header is None:
      writer.writeheader()
    writer.writerows(rows)
  print(f'added {len(rows)} rows to {path}')
