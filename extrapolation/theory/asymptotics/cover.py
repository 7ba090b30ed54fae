r"""A verdict from those on parts that cover all distances.

A part is a set of residues t = m s + r, or the distances whose phase lies in
an arc of the circle: there sin and cos have narrow ranges, and comparison
decides. A sum of weights >= 0 converges iff it does on every part. One part
where it diverges is enough, if the distances of the part have positive
density, by comparison with a decreasing term (oscillation.phase).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import flint
import sympy as sp

from extrapolation.theory.asymptotics import oscillation, sign_oracle
from extrapolation.theory.asymptotics.interval_germ import Germ
from extrapolation.theory.asymptotics.log_scale import Outcome
from extrapolation.theory.asymptotics.monomial import Expansion, constant
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NeedsPrecision, NotProved

MOST_PARTS = 400
NARROWEST = 1 << 8  # arcs of the circle
LARGEST_MULTIPLE = 32
GRID = 10**4  # ranges are rounded outwards to its fractions
SMALL = flint.arb(0, 1e-3)  # holds in the end what tends to 0

Interval = tuple[int, int]


def join(
  read: Callable[[Interval], Outcome],
  whole: Interval,
  finest: int,
  told: Callable[[Interval | None], str],
  one_is_enough: bool = True,
) -> Outcome:
  """The outcome on [first, last), halved where it is not proved.

  Args:
    read: the outcome on a part, or NotProved.
    whole: all parts.
    finest: length that is not halved.
    told: what precedes the argument, by the part that decided (None: all).
    one_is_enough: whether a part may show that the sum diverges.

  Raises:
    NotProved: a part is open, and none was seen to diverge.
  """
  parts, seen, problem = [whole], 0, None
  proved = []
  while parts:
    part = first, last = parts.pop()
    seen += 1
    try:
      outcome = read(part)
    except (NotProved, NeedsPrecision) as e:
      if last - first <= finest or seen > MOST_PARTS:
        problem = e
        if not one_is_enough:
          break
      else:
        middle = (first + last) // 2
        parts += [(middle, last), (first, middle)]
      continue
    if not outcome.converges and one_is_enough:
      return dataclasses.replace(
        outcome, argument=told(part) + outcome.argument
      )
    if not outcome.converges:
      raise NotProved(oscillation.NO_DENSITY)
    proved.append(outcome)
  if problem is not None:
    raise problem
  same = all(x.margin == proved[0].margin for x in proved)
  return Outcome(
    True,
    told(None) + proved[-1].argument,
    proved[0].margin if same else None,
    max(x.log_depth for x in proved),
  )


@dataclasses.dataclass(frozen=True)
class Circle:
  """One phase g mod 2 pi, and the waves whose phases are k g + d.

  Attributes:
    kind: why g visits every arc often enough; None where that is not known.
    members: phases as they were read, with k and d.
  """

  kind: str | None
  members: tuple[tuple[Expansion, int, Any], ...]

  def ranges(self, part: Interval) -> dict[tuple, flint.arb]:
    """Enclosures of every phase, by its terms and rest, on an arc."""
    first, last = part
    with flint.ctx.workprec(64):
      turn = 2 * flint.arb.pi() / NARROWEST
      g = (turn * first).union(turn * last)
      return {
        (x.terms, x.rest): k * g + sign_oracle.ball(d) + SMALL
        for x, k, d in self.members
      }


def circle(field: HardyField, phases: Sequence[Expansion]) -> Circle | None:
  """The phases that are whole multiples of one; None without any."""
  if not phases:
    return None
  base, ratios = field.parts(phases[0])[0], []
  for x in phases:
    large, shift, _ = field.parts(x)
    ratio = sp.cancel(large.terms[0][0] / base.terms[0][0])
    if not ratio.is_Rational or abs(ratio) > LARGEST_MULTIPLE:
      continue
    if field.sub(large, field.scale(base, ratio)).terms:
      continue
    ratios.append((x, ratio, shift))
  q = math.lcm(*(int(r.q) for _, r, _ in ratios))
  if q > LARGEST_MULTIPLE:
    return None
  g = field.scale(base, sp.Rational(1, q))
  members = tuple((x, int(r * q), d) for x, r, d in ratios)
  return Circle(oscillation.phase(field, g), members)


def value_range(x: flint.arb, cosine: bool) -> Germ:
  """sin or cos of an enclosed number, as an interval of fractions."""
  with flint.ctx.workprec(64):
    y = (x.cos() if cosine else x.sin()) * GRID
    low: Any = y.lower().floor().unique_fmpz()
    high: Any = y.upper().ceil().unique_fmpz()
  low, high = max(int(low), -GRID), min(int(high), GRID)
  return Germ(
    constant(sp.Rational(low, GRID)), constant(sp.Rational(high, GRID))
  )
