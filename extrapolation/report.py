"""A sweep's evidence: `python -m extrapolation.report --workdir=DIR`.

Writes a CSV, a figure, and one HTML page that holds all there is to know of
the sweep, finished or not: perplexity by length, what theory predicts and
whether it came true, training, what was learned, and what is missing.
"""

import dataclasses
import json
import pathlib
import statistics

from ml_collections import ConfigDict

from extrapolation import (
  cli,
  config,
  evaluate,
  grid,
  page,
  plot,
  predict,
  run,
  table,
)
from extrapolation.theory import trained


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a sweep, as its folder tells."""

  name: str
  folder: str
  config: ConfigDict
  state: str
  rows: list[dict]  # of the evaluation; none unless it is finished
  metrics: list[dict]

  @property
  def label(self) -> str:
    return evaluate.label(self.config)


def read(workdir: str) -> list[Run]:
  """Every run of a sweep.

  Raises:
    ValueError: the folder of no sweep, or of runs of another config.
  """
  found = []
  for name, c in grid.read(workdir):
    folder = str(pathlib.Path(workdir) / name)
    path = pathlib.Path(folder) / 'metrics.jsonl'
    metrics = run.read_metrics(folder) if path.exists() else []
    rows = grid.finished(folder, c)
    found.append(Run(name, folder, c, grid.state(folder, c), rows, metrics))
  return found


def by_encoding(rows: list[dict], value: str = 'ppl') -> list[dict]:
  """A row an encoding, a column a length: `median [min .. max]` over seeds."""
  lengths = sorted({row['length'] for row in rows})
  lines = []
  for name in dict.fromkeys(row['rpe'] for row in rows):
    line = {'encoding': name}
    for n in lengths:
      seeds = [r[value] for r in rows if (r['rpe'], r['length']) == (name, n)]
      line[f'{n:,}'] = spread(seeds)
    lines.append(line)
  return lines


def spread(values: list[float], digits: int = 2) -> str:
  """`median [min..max]`."""
  if not values:
    return '-'

  def show(x):
    return f'{x:.{digits}f}' if x < 100 else f'{x:,.0f}'

  middle = show(statistics.median(values))
  if len(values) == 1:
    return middle
  return f'{middle} [{show(min(values))}..{show(max(values))}]'


def write(workdir: str) -> None:
  """Writes sweep.csv, sweep.png and report.html in DIR; prints the table.

  Raises:
    ValueError: as `read`.
  """
  folder, runs = pathlib.Path(workdir), read(workdir)
  rows = [row for one in runs for row in one.rows]
  wrote = [folder / 'report.html']
  if rows:
    title = _title(rows)
    table.write(folder / 'sweep.csv', rows)
    plot.lengths(folder / 'sweep.png', rows, title=title)
    lines = by_encoding(rows)
    seeds = len({row['seed'] for row in rows})
    print(
      f'\nperplexity by length, median [min..max] of {seeds} seeds; {title}\n'
    )
    print(table.text(lines, lines[0]))
    wrote += [folder / 'sweep.csv', folder / 'sweep.png']
  missing = [f'{one.name}: {one.state}' for one in runs if not one.rows]
  if missing:
    print(f'\n{len(missing)} of {len(runs)} runs are missing:')
    print('\n'.join(f'  {line}' for line in missing))
  text = page.page(f'Sweep {folder.resolve().name}', _body(runs, rows, missing))
  temporary = folder / '.report.html'
  temporary.write_text(text)
  temporary.replace(folder / 'report.html')
  print('\nwrote ' + ', '.join(map(str, wrote)))


def _title(rows: list[dict]) -> str:
  first = rows[0]
  return (
    f'trained at {first["train_length"]}, {first["split"]} text, '
    f'{first["tokens"]:,} targets, {first["protocol"]}'
  )


def _body(runs: list[Run], rows: list[dict], missing: list[str]):
  done = len(runs) - len(missing)
  yield page.text(
    f'{done} of {len(runs)} runs finished'
    + (f'; {_title(rows)}.' if rows else '.')
  )
  if missing:
    yield page.text('Missing, and in no number below:', 'missing')
    yield page.items(missing, 'missing')
  if rows:
    yield from _lengths(rows)
    yield from _theory(runs)
  begun = [(one.label, one.metrics) for one in runs if one.metrics]
  if begun:
    yield page.heading('Training')
    yield page.figure(plot.curves, 'training loss by step', begun)
  yield from _learned(runs)
  yield from _origin(runs, rows)


def _lengths(rows: list[dict]):
  yield page.heading('Perplexity by length')
  yield page.figure(plot.lengths, 'perplexity against length', rows)
  seeds = sorted({row['seed'] for row in rows})
  what = f'median [min..max] of seeds {", ".join(map(str, seeds))}'
  for value, about in (
    ('ppl', 'Perplexity a token over all targets'),
    ('ppl_last', 'Over targets at the last positions of a full window'),
    ('bits_per_byte', 'Bits per byte'),
  ):
    yield page.text(f'{about}; {what}.', 'note')
    yield page.table(by_encoding(rows, value))


def _theory(runs: list[Run]):
  found = predict.encodings(
    [(one.label, one.folder, one.rows) for one in runs if one.rows]
  )
  _, short, long = predict.ratio(next(one.rows for one in runs if one.rows))
  yield page.heading('What theory predicts, and what was measured')
  yield page.text(
    'Theory judges each encoding, with the parameters that were learned: does '
    'the sum of its weights converge, how many keys hold 99 % of it in the '
    'widest head (TRF), and what share of the weights below '
    f'{long:,} tokens is beyond the training length (far mass, mean of heads). '
    f'The ratio is perplexity at {long:,} over that at {short:,} tokens.'
  )
  points = predict.judged(found)
  for draw, about, of in (
    (plot.predictions, 'theoretical receptive field', 'trf'),
    (plot.far_mass, 'share of weight beyond the training length', 'far'),
  ):
    if points:
      marks = [
        (found.index(e), e.name, getattr(e, of), [s.ratio for s in e.seeds])
        for e in points
      ]
      yield page.figure(draw, f'measured ratio against {about}', marks)
  yield page.items(predict.sentences(found))
  yield page.table(
    [
      {
        'encoding': e.name,
        'verdict': 'not judged' if e.why else e.verdicts,
        'TRF (tokens)': '-' if e.why else predict.tokens(e.trf),
        'far mass': '-' if e.why else f'{e.far:.3f}',
        f'ratio {long:,} / {short:,}': spread([s.ratio for s in e.seeds], 3),
        'argument': e.why or e.seeds[0].argument,
      }
      for e in sorted(found, key=lambda e: e.ratio)
    ],
    texts=('verdict', 'argument'),
  )


def _learned(runs: list[Run]):
  lines = []
  for one in runs:
    try:
      about = trained.about(one.folder)
    except ValueError:
      continue  # not begun; the list of missing runs says so
    for key, first in about['init'].items():
      last = about['final'][key] if about.get('final') else None
      lines.append(
        {
          'run': one.name,
          'parameter': key,
          'before': _numbers(first),
          'after': _numbers(last) if last is not None else 'in training',
        }
      )
  if lines:
    yield page.heading('Learned parameters')
    yield page.text('In the units of the formula, head by head.', 'note')
    yield page.table(lines, texts=('before', 'after'))


def _numbers(value) -> str:
  if not isinstance(value, list):
    return f'{value:.3g}'
  nested = value and isinstance(value[0], list)
  return ('; ' if nested else ' ').join(map(_numbers, value))


def _origin(runs: list[Run], rows: list[dict]):
  yield page.heading('Runs and where they were made')
  made = {one.name: one.rows[0] for one in runs if one.rows}
  keys = ('commit', 'device', 'versions')
  yield page.table(
    [
      {
        'run': one.name,
        'state': one.state,
        'last loss': f'{one.metrics[-1]["loss"]:.3f}' if one.metrics else '-',
        **{k: made.get(one.name, {}).get(k, '-') for k in keys},
      }
      for one in runs
    ],
    texts=('state',),
  )
  if len({row['commit'] for row in rows}) > 1:
    yield page.text('Not all runs are of one commit.', 'missing')
  c = dict(runs[0].config.to_dict())
  for key in ('seed', 'model.rpe', 'model.rpe_args'):
    *parents, leaf = key.split('.')
    node = c
    for part in parents:
      node = node[part]
    node[leaf] = 'by run'
  lines = config.differences(config.base().to_dict(), c)
  yield page.folded('Config: what differs from config.base()', '\n'.join(lines))
  yield page.folded('Config: every key', json.dumps(c, indent=2))


def main(argv: list[str]) -> None:
  parser = cli.parser(__doc__)
  parser.add_argument(
    '--workdir', required=True, metavar='DIR', help='the folder of a sweep'
  )
  write(parser.parse_args(argv).workdir)


if __name__ == '__main__':
  cli.run(main)
