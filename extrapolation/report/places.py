"""Models on places in the report of a sweep: loss and excess by size."""

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from extrapolation.output import html, size_plot
from extrapolation.report import space_vs_measured
from extrapolation.report.summary import Run, spread

CAPTIONS = (
  ('excess', 'Loss above that of the best predictor there is, in nats', 4),
  ('nll', 'Loss in nats', 3),
  ('accuracy', 'Share of right answers', 3),
)


def of_places(rows: Sequence[dict]) -> bool:
  """Whether rows are of a model that reads places, by size."""
  return bool(rows) and bool(rows[0].get('size'))


def title(rows: Sequence[dict]) -> str:
  """What the rows of a sweep have in common."""
  first = rows[0]
  trained = [r['size'] for r in rows if r['length'] == first['train_length']]
  at = trained[0] if trained else f'{first["train_length"]:,} places'
  return (
    f'trained at {at}, {first["source"]}, {first["split"]} split, '
    f'{first["tokens"]:,} targets'
  )


def by_encoding(rows: Sequence[dict], value: str, digits: int) -> list[dict]:
  """A row per encoding, a column per size: `median [min..max]` of seeds."""
  sizes = {str(row['size']): row['length'] for row in rows}
  lines = []
  for name in dict.fromkeys(row['rpe'] for row in rows):
    line = {'encoding': name}
    for size in sorted(sizes, key=lambda size: sizes[size]):
      seeds = [
        float(r[value])
        for r in rows
        if (r['rpe'], str(r['size'])) == (name, size)
      ]
      line[size] = spread(seeds, digits)
    lines.append(line)
  return lines


def lines(rows: Sequence[dict]) -> tuple[str, list[dict]]:
  """What is shown first of a sweep, and its table."""
  value = size_plot.value_of(rows)
  caption, digits = next((c, d) for v, c, d in CAPTIONS if v == value)
  return caption, by_encoding(rows, value, digits)


def pieces(runs: Sequence[Run], rows: Sequence[dict]) -> Iterator[Markup]:
  """The part of the page: a figure and a table per number."""
  yield html.heading('Loss by size')
  value = size_plot.value_of(rows)
  panels = {title(rows): rows}
  caption = f'{size_plot.NAMES[value]} against size'
  yield html.figure(size_plot.sizes, caption, panels)
  seeds = sorted({row['seed'] for row in rows})
  what = f'median [min..max] of seeds {", ".join(map(str, seeds))}'
  for value, caption, digits in CAPTIONS:
    if all(math.isfinite(float(row[value])) for row in rows):
      yield html.text(f'{caption}; {what}.', 'note')
      yield html.table(by_encoding(rows, value, digits))
  if runs[0].config.model.kind == 'encoder':
    yield from _theory(runs)


def _theory(runs: Sequence[Run]) -> Iterator[Markup]:
  of = space_vs_measured.encodings(runs)
  geometry = runs[0].config.model.geometry
  yield html.heading('What theory predicts in this space, and what came')
  yield html.text(
    f'Theory judges each encoding in geometry {geometry}, with the parameters '
    'that were learned: is the sum of the weights of all keys of a query '
    'finite, and what share of it lies beyond the training shape in the '
    'largest one (far mass, mean of heads), where content says nothing. The '
    'rise is that of the loss from the training size to the largest one.'
  )
  yield html.items([space_vs_measured.sentence(of)])
  yield html.table(
    [
      {
        'encoding': e.name,
        'verdict': e.verdict,
        'far mass': '-' if math.isnan(e.far) else f'{e.far:.3g}',
        'rise (nats)': spread(e.rises, 4),
        'argument': e.argument,
      }
      for e in sorted(of, key=lambda e: e.rise)
    ],
    wrapped=('verdict', 'argument'),
  )
