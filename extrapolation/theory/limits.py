r"""Where a bias goes with distance: 0 weight, -infinity, or a bounded gap.

The same reading of the formula at infinity as in convergence.py, of which the
end is asked for and not the sum. Weights between two functions of a Hardy
field are between two functions that are monotone in the end.
"""

import dataclasses
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from extrapolation.theory import convergence
from extrapolation.theory.asymptotics import case_split, sign_oracle
from extrapolation.theory.asymptotics.expand import Reading
from extrapolation.theory.asymptotics.interval_germ import MINUS, PLUS
from extrapolation.theory.asymptotics.sign_oracle import Expr
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.convergence import SECONDS, Verdict
from extrapolation.theory.enclosures import sums, tail_bound
from extrapolation.theory.errors import (
  NeedsPrecision,
  NotProved,
  UndefinedWeight,
)
from extrapolation.theory.expression import float_intervals
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.time_limit import limit

NEAR = 1 << 14  # distances that are looked at one by one

ZERO, FALLS, BOUNDED, OTHER = 'zero', 'falls', 'bounded', 'other'


@dataclasses.dataclass(frozen=True)
class Outcome:
  """Whether what is asked is so, in one case of the parameters."""

  converges: bool
  kind: str
  low: Expr | None = None
  high: Expr | None = None
  positive: bool = True


@dataclasses.dataclass(frozen=True)
class Limit:
  """What b does at large distances.

  Attributes:
    kind: ZERO: -inf beyond some distance; FALLS: to -infinity; BOUNDED: stays
      between low and high in the end; OTHER: not known, or by the parameters.
    condition: on the parameters, for b to fall without bound where that hangs
      on them; '' elsewhere.
    low, high: of the limit inferior and superior, of a BOUNDED b.
    positive: whether all weights beyond some distance are proved to be > 0.
  """

  kind: str
  condition: str = ''
  low: Expr | None = None
  high: Expr | None = None
  positive: bool = False


def at_infinity(root: Node) -> Limit:
  """The limit of b; OTHER where it was not found."""
  try:
    with limit(SECONDS):
      leaves, condition, _ = convergence.explore(root, _outcome)
  except (
    NotProved, NeedsPrecision, UndefinedWeight, TimeoutError, RecursionError
  ):  # fmt: skip
    return Limit(OTHER)
  kinds = {leaf.outcome.kind for leaf in leaves}
  positive = all(leaf.outcome.positive for leaf in leaves)
  if len(leaves) == 1:
    one = leaves[0].outcome
    return Limit(one.kind, '', one.low, one.high, positive)
  if condition is True:  # 0 beyond some distance is below any bound too
    return Limit(FALLS, positive=positive)
  if condition is False:
    return Limit(BOUNDED if kinds == {BOUNDED} else OTHER, positive=positive)
  return Limit(OTHER, case_split.text(condition), positive=positive)


def monotone_verdict(root: Node) -> Verdict:
  """The verdict on sum exp b by bounds that are monotone in the end.

  Unknown where it takes more, such as waves: what then holds of distances that
  are whole numbers need not hold of those of a clock.
  """

  def settle(root: Node, field: HardyField, values: dict) -> Any:
    out = convergence.bounded(field, Reading(field, values)(root))
    if out is None:
      raise NotProved('no bounds that are monotone in the end decide')
    return out

  return convergence.judge(root, settle=settle)


def own_weight_is_positive(root: Node) -> bool:
  """Whether the weight at distance 0 is no 0, as far as it has a value."""
  if any(n.op == 'param' for n in nodes(root)):
    return True
  low, high = float_intervals.log_weights(root, np.zeros(1))
  return bool(np.isfinite(low[0]) and np.isfinite(high[0]))


def gap(root: Node, at: Limit) -> tuple[float, float] | None:
  """sup b - limsup b, rounded down, and sup b - liminf b, rounded up.

  They are the one gap of a b with a limit. None where it has a parameter
  without a value, or b is not BOUNDED.
  """
  is_open = any(n.op == 'param' for n in nodes(root))
  if at.low is None or at.high is None or is_open:
    return None
  least, most = float_intervals.log_weights(root, np.arange(float(NEAR)))
  if not np.all(most < np.inf):
    return None
  with sums.precision(96):
    low, high = (sign_oracle.ball(x) for x in (at.low, at.high))
    beyond = _largest_beyond(root, arb(NEAR))
    if beyond is None:
      return None
    seen = arb(float(np.max(least))), arb(float(np.max(most)))
    ends = seen[0] - high, beyond.max(seen[1]) - low
    return max(float(ends[0].lower()), 0.0), float(ends[1].upper())


def _largest_beyond(root: Node, T: arb) -> arb | None:
  """A bound of b on [T, inf)."""
  for size in convergence.SIZES:
    if (reading := tail_bound.read(root, T, size)) is None:
      continue
    field, germ = reading
    if isinstance(germ.high, str):
      return None
    try:
      return field.extremum(germ.high.terms, lower=False) + field.slack(
        germ.high
      )
    except tail_bound.FAILURES:
      continue
  return None


def _outcome(root: Node, field: HardyField, values: dict) -> Outcome:
  germ = Reading(field, values)(root)
  if germ.high == MINUS:
    return Outcome(True, ZERO, positive=False)
  low, high = (_end(field, e) for e in (germ.low, germ.high))
  positive = germ.low != MINUS
  if high == -sp.oo:
    return Outcome(True, FALLS, positive=positive)
  if -sp.oo not in (low, high) and sp.oo not in (low, high):
    return Outcome(False, BOUNDED, low, high)
  return Outcome(False, OTHER, positive=positive)


def _end(field: HardyField, x: Any) -> Expr:
  """The limit of one bound."""
  if isinstance(x, str):
    return {MINUS: -sp.oo, PLUS: sp.oo}[x]
  large, constant, _ = field.parts(x)
  if large.terms:
    return field.signs.sign(large.terms[0][0]) * sp.oo
  return sp.sympify(constant)
