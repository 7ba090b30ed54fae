"""Questions about needles: b and c of configs/study, as tables."""

from collections.abc import Sequence

from extrapolation.report.summary import Run
from launch.studies.sweeps import Sweep, median, rho, spread
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
  """b: accuracy in two slices, and reach beside its prediction."""
  (s,) = sweeps
  all_lengths = lengths(s)
  longest = all_lengths[-1]
  rows: Rows = []
  for label in s.labels:
    row = {'encoding': f'`{label}`'}
    for n in all_lengths[1:]:
      row[f'held, {n:,}'] = _short(values(s, label, n, HELD, 'accuracy'))
    for n in all_lengths[1:]:
      row[f'far end, {n:,}'] = _short(values(s, label, n, n - 1, 'accuracy'))
    rows.append(row)
  said = []
  for what, n, t, value in (
    ('held, window grows: margin', longest, HELD, 'margin'),
    (f'far end of {FAR}: accuracy', FAR, FAR - 1, 'accuracy'),
  ):
    known = [x for x in s.labels if lacks(s, x, n, t) is not None]
    if len(known) < 4:
      continue
    points = [
      [(lacks(s, x, n, t) or 0.0, y) for y in values(s, x, n, t, value)]
      for x in known
    ]
    said.append(f'{what} at {n:,} with the nats that lack: rho {rho(points)}')
  return rows, said + reaches(s, longest)[1]


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
