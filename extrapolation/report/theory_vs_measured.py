"""Theory beside measurement: does the verdict say what will extrapolate?"""

import dataclasses
import math
import operator
import statistics
from collections.abc import Sequence

import numpy as np

from extrapolation.output import progress, table
from extrapolation.report import rank_correlation
from extrapolation.theory import answer, trained, trf_bounds

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
  tight: does one window do for every query, in all heads together.
  """

  verdict: str
  trf: float
  far: float
  ratio: float
  argument: str
  tight: str = 'unknown'
  tight_argument: str = ''


@dataclasses.dataclass(frozen=True)
class Encoding:
  """The seeds of one encoding; `why` is set where theory is silent on it."""

  name: str
  seeds: list[Seed]
  why: str = ''

  @property
  def ratios(self) -> list[float]:
    return [s.ratio for s in self.seeds]

  @property
  def ratio(self) -> float:
    return float(np.median(self.ratios))  # NaN if one is

  @property
  def trf(self) -> float:
    return rank_correlation.medians([(s.trf, s.ratio) for s in self.seeds])[0]

  @property
  def far(self) -> float:
    return statistics.median(s.far for s in self.seeds)

  @property
  def verdicts(self) -> str:
    """Of the sums; where weights are no function of distance, of windows."""
    words = [s.tight if self.why else s.verdict for s in self.seeds]
    return ', '.join(dict.fromkeys(words))

  @property
  def argument(self) -> str:
    """Of the verdict of its first seed."""
    one = self.seeds[0]
    if not self.why:
      return one.argument
    return self.why if one.tight == 'not judged' else one.tight_argument


def ratio(rows: Sequence[dict], value: str = 'ppl') -> tuple[float, int, int]:
  """`value` at the longest length over that nearest to training's; those two.

  Args:
    rows: of one run.
  """
  T = rows[0]['train_length']
  by_length = {row['length']: row[value] for row in rows}
  short = min(by_length, key=lambda n: (abs(n - T), n))
  long = max(by_length)
  return by_length[long] / by_length[short], short, long


def encodings(
  runs: Sequence[tuple[str, str, Sequence[dict]]],
) -> list[Encoding]:
  """Theory and measurement of every encoding.

  Args:
    runs: (encoding's label, folder, rows) of each finished run.
  """
  seeds: dict[str, list[Seed]] = {}
  why: dict[str, str] = {}
  loop = progress.Loop('theory', len(runs))
  for i, (label, folder, rows) in enumerate(runs):
    measured, _, long = ratio(rows)
    try:
      silent, seed = _judge(folder, measured, long)
    except ValueError as e:
      silent = str(e)
      nan = math.nan
      seed = Seed('unknown', nan, nan, measured, silent, 'unknown', silent)
    seeds.setdefault(label, []).append(seed)
    why[label] = why.get(label) or silent
    loop.update(i + 1, label)
  loop.close()
  return [Encoding(name, of, why[name]) for name, of in seeds.items()]


def _judge(folder: str, measured: float, horizon: int) -> tuple[str, Seed]:
  """Why theory is silent on a run, or '', and the run by what it learned.

  Raises:
    ValueError: theory cannot read it.
  """
  run = trained.read(folder)
  asked = answer.Asked({EPS: trf_bounds.share(EPS)}, horizon, run.train_length)
  record = answer.record(run.after, asked)
  whole, seed = record['composed'], _seed(record['heads'], measured)
  tight = f'if {whole["condition"]}' if whole['condition'] else whole['verdict']
  return run.after.not_judged, dataclasses.replace(
    seed, tight=tight, tight_argument=whole['argument']
  )


def _seed(heads: Sequence[dict], measured: float) -> Seed:
  """A run by theory's records of its heads."""
  kinds = [h['verdict'] for h in heads]
  verdict = kinds[0]
  if len(set(kinds)) > 1:
    counts = {k: kinds.count(k) for k in dict.fromkeys(kinds)}
    verdict = ', '.join(
      f'{n} of {len(kinds)} heads: {k}' for k, n in counts.items()
    )
  brackets = [h['trf'].get(EPS, dict(low=math.nan)) for h in heads]
  lows = [math.inf if b['low'] is None else float(b['low']) for b in brackets]
  trf = math.nan if any(map(math.isnan, lows)) else max(lows)
  shares = [h['horizon']['far_mass'] for h in heads]
  far = math.nan if None in shares else statistics.fmean(shares)
  worst = next((h for h in heads if h['verdict'] == 'diverges'), heads[-1])
  return Seed(verdict, trf, far, measured, worst['argument'])


def judged(encodings: Sequence[Encoding]) -> list[Encoding]:
  """Those that theory judges, and that were measured."""
  return [e for e in encodings if not e.why and not math.isnan(e.trf + e.ratio)]


def sentences(encodings: Sequence[Encoding]) -> list[str]:
  """How well what theory says predicts the measured ratios, in plain words."""
  points = judged(encodings)
  out = []
  for name, infinite in (
    ('Sums converging in every head', False),
    ('Some head diverging', True),
  ):
    r = [e.ratio for e in points if math.isinf(e.trf) == infinite]
    if r:
      out.append(
        f'{name} ({len(r)} encoding{"s" * (len(r) > 1)}): median ratios from '
        f'{min(r):.3f} to {max(r):.3f}.'
      )
  silent = [e.name for e in encodings if e not in points]
  if silent:
    out.append(f'Not judged, and not counted below: {", ".join(silent)}.')
  if len(points) < FEWEST:
    few = (
      f'{len(points)} encodings are too few to rank: no statistic is given '
      f'below {FEWEST}.'
    )
    return [*out, few]
  if len({math.isinf(e.trf) for e in points}) == 2:
    diverges = [[float(math.isinf(s.trf)) for s in e.seeds] for e in points]
    medians = [float(math.isinf(e.trf)) for e in points]
    value, doubt = _statistic(
      rank_correlation.concordance, points, medians, diverges, '.0%'
    )
    out.append(
      f'Verdict: in {value} of the pairs of one converging and one '
      f'diverging encoding the diverging one has the larger ratio {doubt}.'
    )
  for what, of in (
    ('TRF', operator.attrgetter('trf')),
    ('Share of weight beyond the training length', operator.attrgetter('far')),
  ):
    by_seed = [[of(s) for s in e.seeds] for e in points]
    for name, f in (
      ("Kendall's tau-b", rank_correlation.kendall),
      ("Spearman's rho", rank_correlation.spearman),
    ):
      value, doubt = _statistic(
        f, points, [of(e) for e in points], by_seed, '+.2f'
      )
      out.append(
        f'{what} against ratio, {len(points)} encodings: {name} '
        f'{value} {doubt}.'
      )
  return out


def _statistic(
  statistic: rank_correlation.Statistic,
  points: Sequence[Encoding],
  x: Sequence[float],
  by_seed: Sequence[Sequence[float]],
  form: str,
) -> tuple[str, str]:
  """A statistic of x and the encodings' ratios, and how sure of it, in words.

  Args:
    x: of each encoding.
    by_seed: x of the seeds of each.
  """
  y = [e.ratio for e in points]
  value = statistic(x, y)
  if math.isnan(value):
    return 'undefined', '(all values are equal)'
  fewest, interval = min(map(len, by_seed)), 'one seed: no interval'
  if fewest > 1:
    low, high = rank_correlation.interval(
      statistic,
      [
        list(zip(xs, e.ratios, strict=True))
        for xs, e in zip(by_seed, points, strict=True)
      ],
    )
    interval = (
      f'95 % interval over seeds {format(low, form)} to {format(high, form)}, '
      f'from {fewest} per encoding'
    )
  p = rank_correlation.permutation_p_value(statistic, x, y)
  p = f'= {p:.3f}' if p >= 0.001 else '< 0.001'
  return format(value, form), f'({interval}; permutation p {p})'


def tokens(trf: float) -> str:
  """A receptive field for people."""
  return 'infinite' if math.isinf(trf) else table.number(round(trf))
