"""The sweeps of the study as they are on disk: runs, and what was predicted."""

import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from extrapolation.predict import Predicted, Record, record
from extrapolation.report import rank_correlation as ranks
from extrapolation.report import summary, theory_vs_measured
from extrapolation.report.summary import Run


class Sweep(NamedTuple):
  """One question on one corpus.

  Attributes:
    question: name of its config; corpus: name of its folder, '' for none.
    runs: all that were asked for, finished or not.
    made: the prediction that its first run waited for.
  """

  question: str
  corpus: str
  runs: Sequence[Run]
  made: Record

  @property
  def name(self) -> str:
    """Of its folder."""
    return '-'.join(filter(None, (self.question, self.corpus)))

  @property
  def finished(self) -> list[Run]:
    return [run for run in self.runs if run.rows]

  @property
  def labels(self) -> list[str]:
    """Encodings that have a finished run, in the order of the config."""
    return list(dict.fromkeys(run.label for run in self.finished))

  def of(self, label: str) -> list[Run]:
    return [run for run in self.finished if run.label == label]

  def predicted(self, label: str) -> Predicted:
    """What was; nothing of an encoding that the sweep has got since."""
    of = (x for x in self.made.predicted if x.encoding == label)
    nothing = 'not in the prediction'
    return next(of, Predicted(label, '', 0, why=nothing))

  def far_mass(self, label: str) -> float | None:
    """At the longest length, before training; None where there is no number."""
    lengths = self.predicted(label).lengths
    return lengths[-1].far_mass if lengths else None

  def ratios(self, label: str) -> list[float]:
    """ppl at the longest length over that at training's, of each seed."""
    return [ratio(run) for run in self.of(label)]


def ratio(run: Run) -> float:
  """ppl at the longest length over that at the training length."""
  return theory_vs_measured.ratio(run.rows)[0]


def read(workdir: pathlib.Path) -> Iterator[Sweep]:
  """Every sweep that is there, in the order of their names.

  Raises:
    ValueError: the folder of no study, or of runs of another config.
  """
  folders = sorted(path.parent for path in workdir.glob('*/sweep.json'))
  if not folders:
    raise ValueError(
      f'--workdir={workdir} holds no sweep; python launch/study.py makes them'
    )
  for folder in folders:
    question, _, corpus = folder.name.partition('-')
    runs = summary.read(str(folder))
    yield Sweep(question, corpus, runs, record.read(folder))


def spread(values: Sequence[float], digits: int = 3) -> str:
  """`median [min..max]`, '-' of none."""
  return summary.spread(values, digits)


def rho(points: Sequence[Sequence[tuple[float, float]]]) -> str:
  """Spearman's rho of (x, y), with a 95 % interval over the seeds of each."""
  pairs = [ranks.medians(seeds) for seeds in points]
  value = ranks.spearman(*zip(*pairs, strict=True))
  if math.isnan(value):
    return 'undefined'
  out = f'{value:+.2f}'
  if min(map(len, points)) > 1:
    low, high = ranks.interval(ranks.spearman, points)
    out += f' [{low:+.2f}..{high:+.2f}]'
  return f'{out}, {len(points)} encodings'
