"""One head of attention as theory reads it: kernel, clock, heat and score."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from extrapolation.parts.params import Params
from extrapolation.parts.score import Score
from extrapolation.rpe.base import RPE
from extrapolation.rpe.rates import Rates
from extrapolation.theory import mixture
from extrapolation.theory.expression.graph import Node
from extrapolation.theory.mixture import Mixed

SUM = Score()
PLAIN = Rates(low=1.0, high=1.0, heat=0.0)


@dataclasses.dataclass(frozen=True)
class Head:
  """What is known of one head.

  Attributes:
    b: the kernel, a log weight by distance; None where it is not judged.
    rates: of its clock and of its heat.
    clock_valued, heat_valued: whether these rates are numbers for good, of
      what learns nothing or of given weights. Otherwise they are those of
      initial parameters, of which only the sign is used.
    is_index: whether distance is i - j.
    positive, stationary: of its clock, see `clock.Clock`.
    is_one: whether no logit is scaled.
    whole: whether the heat scales the bias as well.
    score: what logits are of q.k and the kernel.
    softmax: whether its weights are divided by their sum.
    mixed: the kernel that its score makes of those of all heads, if known.
    why_not_mixed: what is missing for that.
    why_not: why it is not judged; '' where it is.
    layer: in which of the layers that take turns it is, from 1.
    text: the part of the spec that it is of.
  """

  b: Node | None
  rates: Rates = PLAIN
  clock_valued: bool = True
  heat_valued: bool = True
  is_index: bool = True
  positive: bool = False
  stationary: str = ''
  is_one: bool = True
  whole: bool = False
  score: Score = SUM
  softmax: bool = True
  mixed: Mixed | None = None
  why_not_mixed: str = ''
  why_not: str = ''
  layer: int = 1
  text: str = ''

  @property
  def advances(self) -> bool:
    """Whether p_i - p_j >= a (i - j) for some a > 0, whatever the text."""
    low = self.rates.low
    return self.is_index or self.positive or (low is not None and low > 0)


def heads(
  rpe: RPE,
  formulas: Sequence[Node],
  rates: Sequence[Rates],
  of_weights: bool = False,
  mix: Params | None = None,
) -> list[Head]:
  """The heads of an encoding that is no several side by side.

  Args:
    formulas: its kernel's log weights; none where that is not read.
    rates: one per head.
    of_weights: whether they are those of given weights.
    mix: the learned part of its score, of given weights.
  """
  # What turns q and k, or is added to the embeddings, is no weight by distance.
  judged = 'clock', 'heat', 'score', ''
  elsewhere = [k for k in rpe.beside_bias.split(' and ') if k not in judged]
  why = (
    f'order enters through {" and ".join(elsewhere)}, not through weights'
    if elsewhere
    else ''
  )
  whole, score = rpe.heat.whole, rpe.score
  softmax = np.broadcast_to(score.softmax, len(rates)).tolist()
  mixed, missing = [], ''
  if not (why or score.is_plain):
    mixed, missing = mixture.of_heads(score, formulas, mix)
  return [
    Head(
      b=None if why else formulas[h],
      rates=rate,
      clock_valued=of_weights or not rpe.clock.learned,
      heat_valued=of_weights or not rpe.heat.learned,
      is_index=rpe.clock.is_index,
      positive=rpe.clock.positive,
      stationary=rpe.clock.stationary,
      is_one=rpe.heat.is_one,
      whole=whole[h] if isinstance(whole, tuple) else whole,
      score=score,
      softmax=softmax[h],
      mixed=mixed[h] if mixed else None,
      why_not_mixed=missing,
      why_not=why,
      text=rpe.name,
    )
    for h, rate in enumerate(rates)
  ]
