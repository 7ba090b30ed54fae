"""A prediction that was made before training, beside what was measured."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from extrapolation.predict import AtLength, Predicted, Record, text
from extrapolation.report import rank_correlation
from extrapolation.report.summary import Run
from extrapolation.report.theory_vs_measured import FEWEST
from extrapolation.runs import identity
from extrapolation.theory.verdicts import NOT, TIGHT


@dataclasses.dataclass(frozen=True)
class Scored:
  """One encoding: what was predicted, and what its seeds had.

  Attributes:
    ratios: by length N beyond training's, ppl_N / ppl_L of each seed.
  """

  predicted: Predicted
  ratios: Mapping[int, Sequence[float]]

  @property
  def name(self) -> str:
    return self.predicted.encoding

  @property
  def longest(self) -> int:
    return max(self.ratios)

  @property
  def at(self) -> AtLength:
    """What was predicted at the longest length."""
    return next(x for x in self.predicted.lengths if x.length == self.longest)

  @property
  def ratio(self) -> float:
    """Measured at the longest length, median over seeds."""
    return statistics.median(self.ratios[self.longest])

  @property
  def miss(self) -> float:
    """ln of measured over predicted ratio there, in nats."""
    return math.log(self.ratio / self.at.ratios[0])

  @property
  def inside(self) -> bool:
    """Whether the median at the longest length lies in the interval."""
    return _within(self.at, self.ratio)

  @property
  def all_inside(self) -> bool:
    """Whether every seed does, at every length: what the interval promises."""
    return all(
      _within(x, ratio)
      for x in self.predicted.lengths
      for ratio in self.ratios.get(x.length, ())
    )


def _within(at: AtLength, ratio: float) -> bool:
  _, low, high = at.ratios
  return low <= ratio <= high


def score(of: Record, runs: Sequence[Run]) -> list[Scored]:
  """Every predicted encoding with a finished run, and no other.

  A run counts if it has a result at the training length, and if it is of the
  config that was predicted. Where reach alone was predicted, of a probe, the
  table of the probe scores it.
  """
  labels = {identity.run_id(one.config): one.label for one in runs}
  out = []
  for one in of.predicted:
    if one.lengths and not one.has_ratio:
      continue
    ratios: dict[int, list[float]] = {}
    for run in runs:
      if run.label == labels.get(one.run):
        for n, ratio in _ratios(run, one).items():
          ratios.setdefault(n, []).append(ratio)
    if ratios:
      out.append(Scored(one, ratios))
  return out


def _ratios(run: Run, one: Predicted) -> dict[int, float]:
  """Of one run, at the lengths that were predicted."""
  by_length = {row['length']: row['ppl'] for row in run.rows}
  base, L = by_length.get(one.train_length), one.train_length
  wanted = {x.length for x in one.lengths} or {n for n in by_length if n > L}
  ratios = {n: p / base for n, p in by_length.items() if base and n in wanted}
  return {n: r for n, r in ratios.items() if 0 < r < math.inf}


def sentences(of: Record, scored: Sequence[Scored]) -> list[str]:
  """How well the prediction did, in plain words."""
  numbers = [x for x in scored if x.predicted.lengths]
  names = {x.name for x in scored}
  out = [f'Written {of.time}, {of.law["file"]} {of.law["digest"]}.']
  if numbers:
    out += [_order(numbers), _calibration(of, numbers), _worst(numbers)]
  known = [x.name for x in numbers if x.predicted.fitted]
  if known:
    out.append(
      'The law was fitted on such runs of these encodings, so for them this is '
      f'no test: {", ".join(known)}.'
    )
  out += _tightness(scored)
  rest = [
    x.encoding
    for x in of.predicted
    if x.encoding not in names and (x.has_ratio or not x.lengths)
  ]
  if rest:
    out.append(
      f'Predicted, and not scored: {", ".join(rest)} (no finished run of the '
      'config that was predicted, with a result at its training length).'
    )
  return out


def _order(numbers: Sequence[Scored]) -> str:
  if len(numbers) < FEWEST:
    return (
      f'{len(numbers)} encodings with a number are too few to rank: no '
      f'statistic is given below {FEWEST}.'
    )
  x, y = zip(*((one.at.ratios[0], one.ratio) for one in numbers), strict=True)
  rho = rank_correlation.spearman(x, y)
  if math.isnan(rho):
    return 'Rank correlation is undefined (all values are equal).'
  doubt = 'one seed: no interval'
  if min(len(one.ratios[one.longest]) for one in numbers) > 1:
    low, high = rank_correlation.interval(
      rank_correlation.spearman,
      [
        [(one.at.ratios[0], r) for r in one.ratios[one.longest]]
        for one in numbers
      ],
    )
    doubt = f'95 % interval over seeds {low:+.2f} to {high:+.2f}'
  p = rank_correlation.permutation_p_value(rank_correlation.spearman, x, y)
  return (
    f"Rank: Spearman's rho of predicted with measured ratios {rho:+.2f} "
    f'({doubt}; permutation p '
    f'{f"= {p:.3f}" if p >= 0.001 else "< 0.001"}), {len(numbers)} encodings.'
  )


def _calibration(of: Record, numbers: Sequence[Scored]) -> str:
  inside = sum(one.inside for one in numbers)
  all_inside = sum(one.all_inside for one in numbers)
  level = text.percent(of.law['level'])
  return (
    f'Calibration: the measured ratio lies in the {level} '
    f'interval for {inside} of {len(numbers)} encodings at the longest length, '
    f'median over seeds; for {all_inside} at every length, every seed.'
  )


def _worst(numbers: Sequence[Scored]) -> str:
  one = max(numbers, key=lambda one: abs(one.miss))
  return (
    f'Worst miss: {one.name} at {one.longest:,}, measured {one.ratio:.3f}, '
    f'predicted {text.interval(one.at)} ({one.miss:+.3f} nats).'
  )


def _tightness(scored: Sequence[Scored]) -> list[str]:
  """The order of encodings without a number: tight before not tight."""
  known = [x for x in scored if x.predicted.order]
  group = [float(x.predicted.order == NOT) for x in known]
  share = rank_correlation.concordance(group, [x.ratio for x in known])
  if math.isnan(share):
    return []
  return [
    f'Order without numbers: in {share:.0%} of the pairs of one encoding that '
    f'is {TIGHT} and one that is {NOT} the latter has the larger ratio '
    f'({int(len(group) - sum(group))} and {int(sum(group))} encodings).'
  ]
