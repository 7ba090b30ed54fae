"""One head of attention as theory reads it: kernel, clock and heat."""

import dataclasses
from collections.abc import Sequence

from extrapolation.rpe.base import RPE
from extrapolation.rpe.rates import Rates
from extrapolation.theory.expression.graph import Node

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
) -> list[Head]:
  """The heads of an encoding that is no several side by side.

  Args:
    formulas: its kernel's log weights; none where that is not read.
    rates: one per head.
    of_weights: whether they are those of given weights.
  """
  # What turns q and k, or is added to the embeddings, is no weight by distance.
  elsewhere = [
    k for k in rpe.beside_bias.split(' and ') if k not in ('clock', 'heat', '')
  ]
  why = (
    f'order enters through {" and ".join(elsewhere)}, not through weights'
    if elsewhere
    else ''
  )
  whole = rpe.heat.whole
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
      why_not=why,
      text=rpe.name,
    )
    for h, rate in enumerate(rates)
  ]
