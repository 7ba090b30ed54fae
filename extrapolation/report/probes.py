"""Retrieval in the report of a sweep: reach beside perplexity."""

import logging
import pathlib
import statistics
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from extrapolation.output import html, table
from extrapolation.probe import comparison, ranks, text
from extrapolation.report import theory_vs_measured
from extrapolation.report.summary import Run, spread

NAME = 'probe.csv'

log = logging.getLogger(__name__)


def write(folder: pathlib.Path, runs: Sequence[Run]) -> list[pathlib.Path]:
  """Writes probe.csv, probe-reach.csv and probe.png of all runs that have it.

  Returns what was written.
  """
  asked = [one for one in runs if one.cells]
  if not asked:
    return []
  paths = [folder / name for name in ('probe.png', 'probe-reach.csv', NAME)]
  reaches = [row for one in asked for row in one.reaches]
  comparison.save(paths[0], reaches, _ranks(asked), len(asked))
  table.write(paths[1], reaches)
  table.write(paths[2], [row for one in asked for row in one.cells])
  lines = _by_encoding(asked)
  log.info(
    '\nreach at 50 %% by length, probe %s, median [min..max] of seeds\n\n%s',
    reaches[0]['probe'], table.text(lines, lines[0]),
  )  # fmt: skip
  return paths


def pieces(runs: Sequence[Run]) -> Iterator[Markup]:
  """The part of the page: a figure, a table, and how theory ranks them."""
  asked = [one for one in runs if one.cells]
  if not asked:
    return
  first = asked[0].cells[0]
  reaches = [row for one in asked for row in one.reaches]
  yield html.heading('Retrieval by length')
  yield html.text(
    f'Probe {first["probe"]}, {text.conditions(first)}. The reach '
    'is the largest distance in tokens up to which accuracy is halfway between '
    f'a guess ({first["chance"]:.1%}) and 1, or more, in the median of seeds; '
    'predicted is the reach of half of the attention, from theory.'
  )
  yield html.figure(comparison.lengths, 'reach against length', reaches)
  yield html.table(_by_encoding(asked))
  yield html.text('Measured and predicted reach, rank by rank.', 'note')
  yield html.items(_sentences(_ranks(asked)))


def _ranks(runs: Sequence[Run]) -> list[dict]:
  return ranks.table([(one.cells, one.reaches) for one in runs])


def _by_encoding(runs: Sequence[Run]) -> list[dict]:
  """A row per encoding: reach at each length, and perplexity beside it."""
  lengths = sorted({row['length'] for one in runs for row in one.reaches})
  longest = lengths[-1]
  lines = []
  for name in dict.fromkeys(one.label for one in runs):
    own = [one for one in runs if one.label == name]
    rows = [row for one in own for row in one.reaches]
    line = {'encoding': name}
    for n in lengths:
      at = [row['reach'] for row in rows if row['length'] == n]
      line[f'reach at {n:,}'] = spread(at, 0)
    said = [row['predicted'] for row in rows if row['length'] == longest]
    known = [x for x in said if isinstance(x, int | float)]
    line[f'predicted at {longest:,}'] = (
      f'{statistics.median(known):,.0f}' if known else 'not judged'
    )
    ratios = [theory_vs_measured.ratio(one.rows)[0] for one in own if one.rows]
    line['perplexity ratio'] = spread(ratios, 3)
    lines.append(line)
  return lines


def _sentences(rows: Sequence[dict]) -> list[str]:
  if all(row['rho'] is None for row in rows):
    most = max(row['encodings'] for row in rows)
    return [
      f'No rank correlation: theory judges {most} of these encodings, and it '
      f'takes {ranks.FEWEST} that are not all alike.'
    ]
  return [_sentence(row) for row in rows]


def _sentence(row: dict) -> str:
  n = f'At {row["length"]:,} tokens, {row["encodings"]} encodings: '
  if row['rho'] is None:
    return n + 'no rank correlation (too few, or all have the same reach).'
  ends = ''
  if row['low'] is not None:
    ends = f', 95 % interval {row["low"]:+.2f} to {row["high"]:+.2f}'
  return f"{n}Spearman's rho {row['rho']:+.2f}{ends}."
