"""The page of a sweep: what was measured beside what theory predicted."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from extrapolation import config
from extrapolation.output import html, plot
from extrapolation.predict import Record, text
from extrapolation.report import (
  figure,
  places,
  probes,
  scored,
  theory_vs_measured,
)
from extrapolation.report.summary import (
  Run,
  by_encoding,
  has_answers,
  spread,
  title,
)
from extrapolation.theory import trained

OF_TEXT = dict(
  ppl='Perplexity per token over all targets',
  ppl_last='Over targets at the last positions of a full window',
  bits_per_byte='Bits per byte',
)
OF_ANSWERS = dict(
  ppl='Perplexity per answer', accuracy='Share of right answers'
)


def body(
  runs: Sequence[Run],
  rows: Sequence[dict],
  missing: Sequence[str],
  prediction: Record | str = '',
) -> Iterator[Markup]:
  """The pieces of the page, from the numbers to where they were made.

  Args:
    rows: of all evaluations that are finished.
    missing: what is said of each run that is not.
    prediction: made before training; why it is refused; '' if there is none.
  """
  done = len(runs) - len(missing)
  yield html.text(
    f'{done} of {len(runs)} runs finished'
    + (f'; {_title(rows)}.' if rows else '.')
  )
  if missing:
    yield html.text('Missing, and in no number below:', 'missing')
    yield html.items(missing, 'missing')
  if places.of_places(rows):
    yield from places.pieces(runs, rows)
  elif rows:
    yield from _lengths(rows)
    yield from _theory(runs)
    yield from probes.pieces(runs)
  yield from _prediction(runs, prediction)
  begun = [(one.label, one.metrics) for one in runs if one.metrics]
  if begun:
    yield html.heading('Training')
    yield html.figure(plot.curves, 'training loss by step', begun)
  yield from _learned(runs)
  yield from _origin(runs, rows)


def _title(rows: Sequence[dict]) -> str:
  return places.title(rows) if places.of_places(rows) else title(rows)


def _lengths(rows: Sequence[dict]) -> Iterator[Markup]:
  yield html.heading('Perplexity by length')
  yield html.figure(plot.lengths, 'perplexity against length', rows)
  seeds = sorted({row['seed'] for row in rows})
  what = f'median [min..max] of seeds {", ".join(map(str, seeds))}'
  shown = OF_ANSWERS if has_answers(rows) else OF_TEXT
  for value, caption in shown.items():
    # The tokens of a run may have no bytes, and so no bits per byte.
    if not all(math.isnan(row[value]) for row in rows):
      yield html.text(f'{caption}; {what}.', 'note')
      yield html.table(by_encoding(rows, value))


def _theory(runs: Sequence[Run]) -> Iterator[Markup]:
  finished = [one for one in runs if one.rows]
  encodings = theory_vs_measured.encodings(
    [(one.label, one.folder, one.rows) for one in finished]
  )
  _, short, long = theory_vs_measured.ratio(finished[0].rows)
  yield html.heading('What theory predicts, and what was measured')
  yield html.text(
    'Theory judges each encoding, with the parameters that were learned: does '
    'the sum of its weights converge, how many keys hold 99 % of it in the '
    'widest head (TRF), and what share of the weights below '
    f'{long:,} tokens is beyond the training length (far mass, mean of heads). '
    f'The ratio is perplexity at {long:,} over that at {short:,} tokens. Where '
    'weights are no function of distance alone, the verdict is whether one '
    'window does for every query (tight), in all heads of all layers.'
  )
  points = theory_vs_measured.judged(encodings)
  for draw, what, x in (
    (figure.predictions, 'theoretical receptive field', 'trf'),
    (figure.far_mass, 'share of weight beyond the training length', 'far'),
  ):
    if points:
      marks = [
        figure.Point(encodings.index(e), e.name, getattr(e, x), e.ratios)
        for e in points
      ]
      yield html.figure(draw, f'measured ratio against {what}', marks)
  yield html.items(theory_vs_measured.sentences(encodings))
  yield html.table(
    [
      {
        'encoding': e.name,
        'verdict': e.verdicts,
        'TRF (tokens)': '-' if e.why else theory_vs_measured.tokens(e.trf),
        'far mass': '-' if e.why else f'{e.far:.3f}',
        f'ratio {long:,} / {short:,}': spread(e.ratios, 3),
        'argument': e.argument,
      }
      for e in sorted(encodings, key=lambda e: e.ratio)
    ],
    wrapped=('verdict', 'argument'),
  )


def _prediction(
  runs: Sequence[Run], prediction: Record | str
) -> Iterator[Markup]:
  """The prediction that was made before training, scored."""
  if not prediction:
    return
  yield html.heading('What was predicted before training, and what came')
  if isinstance(prediction, str):
    yield html.text(f'Not scored: {prediction}', 'missing')
    return
  of = scored.score(prediction, runs)
  yield html.text(
    'Perplexity at a length over that at the training length, from the share '
    'of weight beyond it and a law that was fitted on earlier studies.'
  )
  numbers = [one for one in of if one.predicted.has_ratio]
  labels = list(dict.fromkeys(one.label for one in runs if one.rows))
  if numbers:
    points = [
      figure.Interval(
        labels.index(one.name),
        one.name,
        one.at.ratios,
        one.ratios[one.longest],
      )
      for one in numbers
    ]
    caption = 'measured against predicted ratio of perplexity'
    yield html.figure(figure.scored, caption, points)
  yield html.items(scored.sentences(prediction, of))
  if of:
    yield html.table(
      [
        {
          'encoding': one.name,
          'predicted': text.interval(one.at if one.predicted.lengths else None),
          'measured': spread(one.ratios[one.longest], 3),
          'length': f'{one.longest:,}',
          'miss (nats)': f'{one.miss:+.3f}' if one.predicted.lengths else '-',
          'in the interval': _inside(one),
          'without a number': one.predicted.why or '-',
        }
        for one in of
      ],
      wrapped=('without a number',),
    )
  yield html.text(f'SHA-256 of the prediction: {prediction.sha256}', 'note')


def _inside(one: scored.Scored) -> str:
  if not one.predicted.lengths:
    return one.predicted.order or '-'
  return 'yes' if one.all_inside else 'median' if one.inside else 'no'


def _learned(runs: Sequence[Run]) -> Iterator[Markup]:
  lines = []
  for one in runs:
    try:
      parameters = trained.about(one.folder)
    except ValueError:
      continue  # not begun; the list of missing runs says so
    final = parameters.get('final') or {}
    for key, first in parameters['init'].items():
      last = final.get(key)
      lines.append(
        {
          'run': one.name,
          'parameter': key,
          'before': _numbers(first),
          'after': _numbers(last) if last is not None else 'in training',
        }
      )
  if lines:
    yield html.heading('Learned parameters')
    yield html.text('In the units of the formula, per head.', 'note')
    yield html.table(lines, wrapped=('before', 'after'))


def _numbers(value: float | list) -> str:
  if not isinstance(value, list):
    return f'{value:.3g}'
  nested = bool(value) and isinstance(value[0], list)
  return ('; ' if nested else ' ').join(map(_numbers, value))


def _origin(runs: Sequence[Run], rows: Sequence[dict]) -> Iterator[Markup]:
  yield html.heading('Runs and where they were made')
  first = {one.name: one.rows[0] for one in runs if one.rows}
  keys = ('commit', 'device', 'versions')
  yield html.table(
    [
      {
        'run': one.name,
        'state': one.state,
        'last loss': f'{one.metrics[-1]["loss"]:.3f}' if one.metrics else '-',
        **{k: first.get(one.name, {}).get(k, '-') for k in keys},
      }
      for one in runs
    ],
    wrapped=('state',),
  )
  if len({row['commit'] for row in rows}) > 1:
    yield html.text('Not all runs are of one commit.', 'missing')
  shared: dict[str, Any] = runs[0].config.to_dict()
  shared['seed'] = 'by run'
  shared['model'] |= dict.fromkeys(('rpe', 'rpe_args', 'rpe_file'), 'by run')
  lines = config.differences(config.base().to_dict(), shared)
  yield html.folded('Config: what differs from config.base()', '\n'.join(lines))
  yield html.folded('Config: every key', json.dumps(shared, indent=2))
