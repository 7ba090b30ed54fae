"""Theory of a space beside what was measured in it, by encoding."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

from extrapolation import config
from extrapolation.geometry import sizes
from extrapolation.output import size_plot
from extrapolation.report import rank_correlation
from extrapolation.report.summary import Run
from extrapolation.theory import (
  answer,
  shapes,
  space,
  space_answer,
  trained,
)

FEWEST = 4  # encodings, below which no rank statistic is given


@dataclasses.dataclass(frozen=True)
class Encoding:
  """An encoding in one space, as it was learned with the first seed.

  Attributes:
    name: as tables call it.
    verdict: of all heads together; argument: that of the first one.
    far: share of the weights beyond the training shape in the largest one,
      mean over heads; NaN where theory does not say.
    rises: nats by which the loss at the largest size exceeds that at the
      training size, per seed.
  """

  name: str
  verdict: str
  argument: str
  far: float
  rises: list[float]

  @property
  def rise(self) -> float:
    return statistics.median(self.rises)


def encodings(runs: Sequence[Run]) -> list[Encoding]:
  """Those of the finished runs of encoders, in their order."""
  done = [one for one in runs if one.rows]
  out = []
  for label in dict.fromkeys(one.label for one in done):
    own = [one for one in done if one.label == label]
    rises = [rise(one.rows) for one in own]
    out.append(Encoding(label, *_theory(own[0]), rises))
  return out


def rise(rows: Sequence[dict]) -> float:
  """Loss at the largest size less that at the training size, in nats."""
  value = size_plot.value_of(rows)
  by_length = {row['length']: float(row[value]) for row in rows}
  L = rows[0]['train_length']
  near = min(by_length, key=lambda n: abs(math.log(n / L)))
  return by_length[max(by_length)] - by_length[near]


def _theory(run: Run) -> tuple[str, str, float]:
  """Verdict, argument and far mass of a run's encoding."""
  e = run.config
  where = space.of(config.geometry_of(e.model))
  assert where is not None  # an encoder reads no causal line
  largest = str(max(run.rows, key=lambda row: row['length'])['size'])
  named = [_places(e, text) for text in (e.train.size, largest)]
  of_shapes = None
  if named[0] != named[1]:
    of_shapes = shapes.of(where, *named)
  asked = answer.Asked(
    {'0.01': Fraction(1, 100)},
    1,
    1,
    space=where,
    shapes=of_shapes,
  )
  record = space_answer.record(trained.read(run.folder).after, asked)
  far = [
    head['shapes']['far_mass'] if head['shapes'] else None
    for head in record['heads']
  ]
  known = [x for x in far if x is not None]
  mean = statistics.mean(known) if len(known) == len(far) else math.nan
  verdicts = dict.fromkeys(head['verdict'] for head in record['heads'])
  return ', '.join(verdicts), record['heads'][0]['argument'], mean


def _places(e: config.Experiment, text: str) -> str:
  """A size in places, of which a patch is one."""
  size = config.size(e.model, text)
  return sizes.write(config.places(e.model, size))


def sentence(of: Sequence[Encoding]) -> str:
  """Whether far mass ranks encodings as their loss rises."""
  points = [(e.far, e.rise) for e in of if math.isfinite(e.far)]
  if len(points) < FEWEST:
    return (
      f'No rank correlation: theory gives the far mass of {len(points)} '
      f'encodings, and it takes {FEWEST}.'
    )
  x, y = zip(*points, strict=True)
  rho = rank_correlation.spearman(x, y)
  p = rank_correlation.permutation_p_value(rank_correlation.spearman, x, y)
  return (
    f"Spearman's rho of far mass and the rise of the loss, {len(points)} "
    f'encodings: {rho:+.2f} (permutation p = {p:.2g}).'
  )
