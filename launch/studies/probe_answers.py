"""Questions about needles: b and c of configs/study, as tables."""

from collections.abc import Sequence
from statistics import median

from extrapolation.report.summary import Run
from launch.studies.sweeps import Sweep, rho, spread
from launch.studies.text_answers import Answer, Rows

HELD = 1  # distance of the needle that stays
FAR = 512  # window at whose far end c asks
GOOD_RATIO, GOOD_ACCURACY = 1.01, 0.5


def cell(run: Run, length: int, distance: int) -> dict:
  """The row of a probe at one length and distance."""
  wanted = length, distance
  return next(c for c in run.cells if (c['length'], c['distance']) == wanted)


def lengths(s: Sweep) -> list[int]:
  return sorted({c['length'] for run in s.finished for c in run.cells})


def values(s: Sweep, label: str, n: int, t: int, what: str) -> list[float]:
  """`what` of every seed, in a window of n with the needle at distance t."""
  return [float(cell(run, n, t)[what]) for run in s.of(label)]


def lacks(s: Sweep, label: str, n: int, t: int) -> float | None:
  """Nats that lack to hold half, beyond what training taught; None if unknown.

  The cost Delta_n(t) less that of the far end of the training length.
  """
  run = s.of(label)[0]
  L = run.config.train.T
  at, taught = cell(run, n, t)['cost'], cell(run, L, L - 1)['cost']
  if not isinstance(at, int | float) or not isinstance(taught, int | float):
    return None
  return at - taught


def retrieval(sweeps: Sequence[Sweep]) -> Answer:
  """b: what lacks in nats, and margin and accuracy, in both slices."""
  (s,) = sweeps
  first, *_, longest = lengths(s)
  rows: Rows = []
  for label in s.labels:
    row = {'encoding': f'`{label}`'}
    near, far = (longest, HELD), (longest, longest - 1)
    row['held: lacks'] = _nats(lacks(s, label, *near))
    row[f'margin at {first}'] = _short(values(s, label, first, HELD, 'margin'))
    row[f'at {longest:,}'] = _short(values(s, label, *near, 'margin'))
    row['far end: lacks'] = _nats(lacks(s, label, *far))
    row['margin'] = _short(values(s, label, *far, 'margin'))
    row['accuracy'] = _short(values(s, label, *far, 'accuracy'))
    rows.append(row)
  said = [
    f'{what} at {n:,} with the nats that lack: rho '
    f'{_with_lacks(s, n, t, value)}'
    for what, n, t, value in (
      ('held: margin', longest, HELD, 'margin'),
      ('far end: accuracy', FAR, FAR - 1, 'accuracy'),
      ('far end: accuracy', longest, longest - 1, 'accuracy'),
      ('far end: margin', longest, longest - 1, 'margin'),
    )
  ]
  return rows, said


def _with_lacks(s: Sweep, n: int, t: int, value: str) -> str:
  """Rank correlation of a value with what lacks, over encodings."""
  points = [
    [(gap, y) for y in values(s, label, n, t, value)]
    for label in s.labels
    if (gap := lacks(s, label, n, t)) is not None
  ]
  return rho(points) if len(points) >= 4 else 'of too few'


def _nats(x: float | None) -> str:
  return '-' if x is None else f'{x:+.2f}'


def reaches(s: Sweep, n: int) -> Answer:
  """Reach at 50 % in windows of n, measured and predicted."""
  rows, points, within, said = [], [], 0, []
  for label in s.labels:
    reached = [
      row for run in s.of(label) for row in run.reaches if row['length'] == n
    ]
    measured = [float(row['reach']) for row in reached]
    one = s.predicted(label)
    row = {'encoding': f'`{label}`', 'predicted': '-'}
    if one.lengths:
      at = one.lengths[-1]
      row['predicted'] = f'{at.reach} [{at.reach_low}..{at.reach_high}]'
      points.append([(float(at.reach), y) for y in measured])
      within += at.reach_low <= median(measured) <= at.reach_high
    row['measured'] = spread(measured, 0)
    rows.append(row)
  if len(points) >= 4:
    said = [
      f'reach at {n:,}: rho {rho(points)}; {within} of {len(points)} in their '
      'intervals'
    ]
  return rows, said


def costs(cells: Sequence[dict]) -> Answer:
  """Asked after training at a longer window: accuracy by distance and cost.

  The table has the distances that every encoding was asked for.

  Args:
    cells: rows of a table of a probe, all of one length.
  """
  asked: dict[str, set[int]] = {}
  for c in cells:
    asked.setdefault(c['encoding'], set()).add(c['distance'])
  rows: Rows = []
  for label in asked:
    row = {'encoding': f'`{label}`'}
    for t in sorted(set.intersection(*asked.values())):
      own = [c for c in cells if (c['encoding'], c['distance']) == (label, t)]
      cost = own[0]['cost']
      nats = f' ({cost:.1f})' if isinstance(cost, int | float) else ''
      row[f'{t:,}'] = f'{median([c["accuracy"] for c in own]):.2f}{nats}'
    rows.append(row)
  known = [c for c in cells if isinstance(c['cost'], int | float)]
  said = []
  for low, high in ((0, 9), (9, 14), (14, 20), (20, 99)):
    seen = [c['accuracy'] for c in known if low <= c['cost'] < high]
    if seen:
      said.append(
        f'cost {low} to {high} nats: accuracy {sum(seen) / len(seen):.2f}, '
        f'{len(seen)} cells'
      )
  return rows, said


def both(text: Sweep, needles: Sweep) -> Answer:
  """c: ratio on text, and accuracy at the far end, of one encoding."""
  rows, good = [], []
  for label in text.labels:
    if label not in needles.labels:
      continue
    flat = text.ratios(label)
    right = values(needles, label, FAR, FAR - 1, 'accuracy')
    is_flat = median(flat) <= GOOD_RATIO
    answers = median(right) >= GOOD_ACCURACY
    far = text.far_mass(label)
    rows.append(
      {
        'encoding': f'`{label}`',
        'far mass': '-' if far is None else f'{far:.3f}',
        'ratio on text': spread(flat),
        'accuracy at the far end': _short(right),
        'good at': {(1, 1): 'both', (1, 0): 'text', (0, 1): 'needles'}.get(
          (is_flat, answers), 'neither'
        ),
      }
    )
    good += [label] * (is_flat and answers)
  return rows, [f'good at both: {", ".join(good) or "none"}']


def _short(numbers: Sequence[float]) -> str:
  return spread(numbers, 2)
