"""Theory beside measurement: does the verdict say who will extrapolate?"""

import dataclasses
import math
import operator
import statistics

from extrapolation import progress, ranks, rpe
from extrapolation.theory import answer, field, trained

EPS = '0.01'
FEWEST = 4  # encodings, below which no rank statistic is given


@dataclasses.dataclass(frozen=True)
class Seed:
  """One run: what theory says of its encoding as learned, what was measured.

  trf: tokens that hold a share 0.99 of the weight, in the widest head; lower
    bracket; inf where a head diverges, nan where theory does not say.
  far: share of the weights below the longest length that is beyond the
    training length, mean over heads.
  ratio: perplexity at the longest length over that at the training length.
  """

  verdict: str
  trf: float
  far: float
  ratio: float
  argument: str


@dataclasses.dataclass(frozen=True)
class Encoding:
  """The seeds of one encoding; `why` is set where theory is silent on it."""

  name: str
  seeds: list[Seed]
  why: str = ''

  @property
  def ratio(self) -> float:
    return statistics.median(s.ratio for s in self.seeds)

  @property
  def trf(self) -> float:
    return ranks.middle([(s.trf, s.ratio) for s in self.seeds])[0]

  @property
  def far(self) -> float:
    return statistics.median(s.far for s in self.seeds)

  @property
  def verdicts(self) -> str:
    return ', '.join(dict.fromkeys(s.verdict for s in self.seeds))


def ratio(rows: list[dict], value: str = 'ppl') -> tuple[float, int, int]:
  """`value` at the longest length over that nearest to training's; those two.

  Args:
    rows: of one run.
  """
  T = rows[0]['train_length']
  by_length = {row['length']: row[value] for row in rows}
  short = min(by_length, key=lambda n: (abs(n - T), n))
  long = max(by_length)
  return by_length[long] / by_length[short], short, long


def encodings(runs: list[tuple[str, str, list[dict]]]) -> list[Encoding]:
  """Theory and measurement of every encoding.

  Args:
    runs: (encoding's label, folder, rows) of each finished run.
  """
  found = {}
  loop = progress.Loop('theory', len(runs))
  for i, (label, folder, rows) in enumerate(runs):
    measured, _, long = ratio(rows)
    seeds, why = found.setdefault(label, ([], ''))
    try:
      found[label] = seeds, why or _silent(folder)
      read = trained.read(folder)
      about = {EPS: field.share(EPS)}, long, read.train_length
      heads = answer.record(label, read.after, *about)['heads']
      seeds.append(_seed(heads, measured))
    except ValueError as e:
      found[label] = seeds, str(e)
      seeds.append(Seed('unknown', math.nan, math.nan, measured, str(e)))
    loop.update(i + 1, label)
  loop.close()
  return [Encoding(name, *about) for name, about in found.items()]


def _silent(folder: str) -> str:
  """Why theory of weights does not judge this encoding; '' where it does."""
  about = trained.about(folder)
  encoding = rpe.get(about['name'], int(about['H']), **about['hyper'])
  default = {part.name: part.default for part in dataclasses.fields(rpe.RPE)}
  for part in ('rotate', 'embed'):
    if getattr(encoding, part) is not default[part]:
      return f'order enters through {part}, not through weights'
  return ''


def _seed(heads: list[dict], measured: float) -> Seed:
  kinds = [h['verdict'] for h in heads]
  verdict = kinds[0]
  if len(set(kinds)) > 1:
    counts = {k: kinds.count(k) for k in dict.fromkeys(kinds)}
    verdict = ', '.join(
      f'{n} of {len(kinds)} heads: {k}' for k, n in counts.items()
    )
  fields = [h['trf'].get(EPS, dict(low=math.nan)) for h in heads]
  wide = [math.inf if f['low'] is None else float(f['low']) for f in fields]
  trf = math.nan if any(map(math.isnan, wide)) else max(wide)
  shares = [h['horizon']['far_mass'] for h in heads]
  far = math.nan if None in shares else statistics.fmean(shares)
  worst = next((h for h in heads if h['verdict'] == 'diverges'), heads[-1])
  return Seed(verdict, trf, far, measured, worst['argument'])


def judged(found: list[Encoding]) -> list[Encoding]:
  """Those that theory has a say on, and that were measured."""
  return [e for e in found if not e.why and not math.isnan(e.trf + e.ratio)]


def sentences(found: list[Encoding]) -> list[str]:
  """How well what theory says predicts the measured ratios, in plain words."""
  points = judged(found)
  out = []
  for name, kind in (('converging', False), ('diverging', True)):
    r = [e.ratio for e in points if math.isinf(e.trf) == kind]
    if r:
      out.append(
        f'Sums {name} in every head' if not kind else f'Some head {name}'
      )
      out[-1] += (
        f' ({len(r)} encoding{"s" * (len(r) > 1)}): median ratios from '
        f'{min(r):.3f} to {max(r):.3f}.'
      )
  silent = [e.name for e in found if e not in points]
  if silent:
    out.append(f'Not judged, and not counted below: {", ".join(silent)}.')
  if len(points) < FEWEST:
    return [
      *out,
      f'{len(points)} encodings are too few to rank: no statistic is given '
      f'below {FEWEST}.',
    ]
  y = [e.ratio for e in points]
  group = [float(math.isinf(e.trf)) for e in points]
  if len(set(group)) == 2:
    by_group = [
      [(float(math.isinf(s.trf)), s.ratio) for s in e.seeds] for e in points
    ]
    share = ranks.separation(group, y)
    out.append(
      f'Verdict: in {share:.0%} of the pairs of one converging and one '
      'diverging encoding the diverging one has the larger ratio '
      + _doubt(ranks.separation, by_group, group, y, '.0%')
    )
  for what, of in (
    ('TRF', operator.attrgetter('trf')),
    ('Share of weight beyond the training length', operator.attrgetter('far')),
  ):
    x = [of(e) for e in points]
    by_seed = [[(of(s), s.ratio) for s in e.seeds] for e in points]
    for name, f in (
      ("Kendall's tau-b", ranks.kendall),
      ("Spearman's rho", ranks.spearman),
    ):
      out.append(
        f'{what} against ratio, {len(points)} encodings: {name} '
        f'{f(x, y):+.2f} ' + _doubt(f, by_seed, x, y, '+.2f')
      )
  return out


def _doubt(f, seeds, x, y, form: str) -> str:
  fewest = min(len(s) for s in seeds)
  if fewest > 1:
    low, high = ranks.interval(f, seeds)
    about = (
      f'95 % interval over seeds {format(low, form)} to {format(high, form)}, '
      f'from {fewest} a point'
    )
  else:
    about = 'one seed: no interval'
  p = ranks.chance(f, x, y)
  share = f'{p:.1%}' if p >= 0.001 else 'less than 0.1%'
  return f'({about}; by chance as much or more in {share} of orders).'


def tokens(trf: float) -> str:
  """A receptive field for people."""
  if math.isinf(trf):
    return 'infinite'
  return f'{trf:,.0f}' if trf < 1e9 else f'{trf:.2g}'
