"""Questions about text: a, d, e, f and g of configs/study, as tables."""

import itertools
import math
from collections.abc import Sequence
from statistics import median

from configs.study import matched
from extrapolation.predict import text
from extrapolation.report import rank_correlation as ranks
from extrapolation.report import scored
from launch.studies.sweeps import Sweep, ratio, rho, spread

Rows = list[dict[str, str]]
Answer = tuple[Rows, list[str]]


def far_mass(sweeps: Sequence[Sweep]) -> Answer:
  """a: a row per encoding, a column per corpus; rho on each."""
  rows: Rows = []
  for label in dict.fromkeys(x for s in sweeps for x in s.labels):
    row = {'encoding': f'`{label}`', **_predicted(sweeps[0], label)}
    row |= {s.corpus: spread(s.ratios(label)) for s in sweeps}
    rows.append(row)
  rows.sort(key=lambda row: row['far mass'])
  said = [f'{s.corpus}: {_order(s)}' for s in sweeps]
  for a, b, c in (
    ('alibi_floor', 'alibi', 'harmonic'),
    ('harmonic:exponent=1.05', 'harmonic', 'alibi'),
  ):
    for s in sweeps:
      if {a, b, c} <= set(s.labels):
        one, near, far = (median(s.ratios(x)) for x in (a, b, c))
        said.append(
          f'{s.corpus}: {a} is {one - near:+.3f} from {b}, '
          f'{one - far:+.3f} from {c}'
        )
  return rows, said


def settings(sweeps: Sequence[Sweep]) -> Answer:
  """d: a row per encoding, a column per setting, and how far each moves it.

  A setting is (precision, learning rate, weight decay).
  """
  (s,) = sweeps
  cells: dict[str, dict[str, list[float]]] = {}
  ppl: dict[tuple[str, str], list[float]] = {}
  for run in s.finished:
    e = run.config
    name = e.model.label
    short = 'bf16' if str(e.model.dtype) == 'bfloat16' else 'f32'
    setting = f'{short}, {e.optim.lr:g}, {e.optim.weight_decay:g}'
    cells.setdefault(name, {}).setdefault(setting, []).append(ratio(run))
    ppl.setdefault((name, setting), []).append(run.rows[0]['ppl'])
  rows = [
    {'encoding': f'`{name}`'}
    | {setting: spread(x) for setting, x in of.items()}
    | {'moves by': f'{_range([median(x) for x in of.values()]):.3f}'}
    for name, of in cells.items()
  ]
  said = []
  plain = [name for name in cells if '*' not in name]
  for setting in next(iter(cells.values()), {}):
    have = [x for x in plain if setting in cells[x]]
    order = sorted(have, key=lambda x: median(cells[x][setting]))
    said.append(f'{setting}: {", ".join(order)}')
  for what, index in (('precision', 0), ('learning rate', 1), ('decay', 2)):
    moved = [
      (abs(median(of[x]) - median(of[y])), name)
      for name, of in cells.items()
      for x, y in itertools.combinations(of, 2)
      if _differ(x, y) == [index]
    ]
    if moved:
      most = max(moved)
      said.append(
        f'{what} alone moves a ratio by {median([m for m, _ in moved]):.4f} '
        f'(median), by {most[0]:.4f} at most ({most[1]})'
      )
  by_name: dict[str, list[float]] = {}
  for (name, _), values in ppl.items():
    by_name.setdefault(name, []).append(median(values))
  said += [
    f'perplexity where it was trained moves by '
    f'{max(x) / min(x) - 1:.1%} ({name})'
    for name, x in by_name.items()
  ]
  spreads = [_range(x) for of in cells.values() for x in of.values()]
  if spreads:
    said.append(f'seeds of one setting: {median(spreads):.4f} (median range)')
  return rows, said


def _differ(x: str, y: str) -> list[int]:
  pairs = zip(x.split(', '), y.split(', '), strict=True)
  return [i for i, (a, b) in enumerate(pairs) if a != b]


def _range(values: Sequence[float]) -> float:
  return max(values) - min(values)


def one_head(sweeps: Sequence[Sweep]) -> Answer:
  """e: a row per mixture of heads, in the order of far mass."""
  (s,) = sweeps
  labels = sorted(s.labels, key=lambda x: s.far_mass(x) or 0)
  rows = [
    {'heads': f'`{x}`', **_predicted(s, x), 'measured': spread(s.ratios(x))}
    for x in labels
  ]
  said = [_order(s)]
  logs = {x.split('+').count('none'): _nats(s, x) for x in labels
          if 'harmonic' not in x}  # fmt: skip
  if {0, 1, 4} <= set(logs):
    share = (logs[1] - logs[0]) / (logs[4] - logs[0])
    said.append(f'one divergent head does {share:.0%} of what four do, in nats')
  return rows, said


def rate(sweeps: Sequence[Sweep]) -> Answer:
  """g: both groups of four, each with its far mass and rate."""
  (s,) = sweeps
  rows: Rows = []
  said = []
  for what, group in (
    ('equal far mass', matched.EQUAL_FAR_MASS),
    ('equal rate', matched.EQUAL_RATE),
  ):
    have = [x for x in group if x in s.labels]
    rows += [
      {
        'group': what,
        'encoding': f'`{x}`',
        'rate': f'{matched.rate(x):.2f}',
        **_predicted(s, x),
        'measured': spread(s.ratios(x)),
      }
      for x in sorted(have, key=matched.rate)
    ]
    if len(have) < len(group):
      continue
    measured = [median(s.ratios(x)) for x in have]
    said.append(f'{what}: they differ by {_range(measured):.4f} at most')
    of = matched.rate if what == 'equal far mass' else matched.far_mass
    value = ranks.spearman([of(x) for x in have], measured)
    said.append(f'{what}: rho with what differs {value:+.2f}, of four')
    by_seed = [
      sorted(have, key=lambda x, i=i: s.ratios(x)[i])
      for i in range(min(len(s.of(x)) for x in have))
    ]
    said += [f'{what}, a seed: {" < ".join(order)}' for order in by_seed]
  return rows, said


def out_of_sample(sweeps: Sequence[Sweep]) -> Answer:
  """f: a row per sweep, of what its prediction was worth."""
  rows: Rows = []
  every: list[scored.Scored] = []
  for s in sweeps:
    known = [
      x for x in scored.score(s.made, s.runs)
      if x.predicted.lengths and not x.predicted.fitted
    ]  # fmt: skip
    if not known:
      continue
    inside = sum(x.all_inside for x in known)
    misses = [abs(x.miss) for x in known]
    worst = max(known, key=lambda x: abs(x.miss))
    rows.append(
      {
        'sweep': f'{s.question} {s.corpus}'.strip(),
        'encodings': f'{len(known)}',
        'inside': f'{sum(x.inside for x in known)}',
        'inside, all seeds and lengths': f'{inside}',
        'median miss (nats)': f'{median(misses):.3f}',
        'worst': f'`{worst.name}` {worst.miss:+.3f}',
        'rho': _order(s),
        'slope (nats)': _slope(known),
      }
    )
    every += known
  if not every:
    return rows, []
  within = sum(x.all_inside for x in every)
  return rows, [
    f'{within} of {len(every)} ({within / len(every):.0%}) inside with all '
    'seeds and lengths; median miss '
    f'{median([abs(x.miss) for x in every]):.3f} nats'
  ]


def _slope(known: Sequence[scored.Scored]) -> str:
  """Least squares of ln(ratio) = a far_mass, at the longest length."""
  x = [one.at.far_mass for one in known]
  y = [math.log(one.ratio) for one in known]
  products = sum(a * b for a, b in zip(x, y, strict=True))
  return f'{products / sum(a * a for a in x):.4f}'


def _predicted(s: Sweep, label: str) -> dict[str, str]:
  """Far mass and ratio at the longest length, '-' where there is no number."""
  one = s.predicted(label)
  if not one.has_ratio:
    return {'far mass': '-', 'predicted': one.order or '-'}
  at = one.lengths[-1]
  return {'far mass': f'{at.far_mass:.3f}', 'predicted': text.interval(at)}


def _order(s: Sweep) -> str:
  """Spearman's rho of ratio with far mass, interval over seeds."""
  known = [x for x in s.labels if s.far_mass(x) is not None]
  if len(known) < 4:
    return f'{len(known)} are too few'
  return rho([[(s.far_mass(x) or 0.0, r) for r in s.ratios(x)] for x in known])


def _nats(s: Sweep, label: str) -> float:
  return math.log(median(s.ratios(label)))
