"""All that a sweep leaves beside its runs: a table, a figure, a page."""

import logging
import pathlib

from extrapolation.output import (
  files,
  html,
  plot,
  signed,
  size_plot,
  table,
)
from extrapolation.predict import Record, record
from extrapolation.report import page, places, probes, scored
from extrapolation.report.summary import by_encoding, read, title

log = logging.getLogger(__name__)


def write(workdir: str) -> None:
  """Writes sweep.csv, sweep.png and report.html in DIR; logs the table.

  Raises:
    ValueError: as `read`.
  """
  folder, runs = pathlib.Path(workdir), read(workdir)
  rows = [row for one in runs for row in one.rows]
  wrote = [folder / 'report.html']
  if rows:
    table.write(folder / 'sweep.csv', rows)
    _show(folder, rows)
    wrote += [folder / 'sweep.csv', folder / 'sweep.png']
  wrote += probes.write(folder, runs)
  missing = [f'{one.name}: {one.state}' for one in runs if not one.rows]
  if missing:
    lines = ''.join(f'\n  {line}' for line in missing)
    log.info('\n%d of %d runs are missing:%s', len(missing), len(runs), lines)
  made = _prediction(workdir)
  if made and rows:
    lines = [made] if isinstance(made, str) else (
      scored.sentences(made, scored.score(made, runs))
    )  # fmt: skip
    log.info('\nprediction before training:\n  %s', '\n  '.join(lines))
  text = html.page(
    f'Sweep {folder.resolve().name}', page.body(runs, rows, missing, made)
  )
  files.write_text(folder / 'report.html', text)
  log.info('\nwrote %s', ', '.join(map(str, wrote)))


def _show(folder: pathlib.Path, rows: list[dict]) -> None:
  """The table of all runs, and their figure."""
  if places.of_places(rows):
    size_plot.sizes(folder / 'sweep.png', {places.title(rows): rows})
    (what, lines), about = places.lines(rows), places.title(rows)
  else:
    plot.lengths(folder / 'sweep.png', rows, title=title(rows))
    what, lines, about = 'perplexity by length', by_encoding(rows), title(rows)
  seeds = len({row['seed'] for row in rows})
  log.info(
    '\n%s, median [min..max] of %d seeds; %s\n\n%s',
    what, seeds, about, table.text(lines, lines[0]),
  )  # fmt: skip


def _prediction(workdir: str) -> Record | str:
  """That of before training; why it is refused; '' if there is none."""
  try:
    return record.read(workdir)
  except FileNotFoundError:
    return ''
  except (signed.Damaged, OSError) as error:
    log.warning('the prediction is not scored: %s', error)
    return str(error)
