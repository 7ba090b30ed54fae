r"""Does sum_t exp b(t) converge: a proof, or unknown.

Rules, in the order tried, for b read as an interval of germs:
  zero      weights exactly 0 beyond some distance: a finite sum.
  terms     terms that do not tend to 0 diverge (term test).
  scale     comparison on the logarithmic scale (asymptotics/log_scale.py).
  bounds    low <= b <= high: convergent if exp(high) is, divergent if
            exp(low) is (direct comparison).
  waves     b = A + B w, w periodic in a phase equidistributed mod 2 pi
            (Weyl; Boshernitzan, J. Anal. Math. 62, 1994) or slowly varying:
            divergent if exp(A + B (max w - delta)) is for one delta > 0, as
            the distances with w > max w - delta have positive density
            (asymptotics/oscillation.py).
  classes   floor(t / m): the residues t = m s + r one by one.
A partial sum is never evidence.
"""

import dataclasses
import time

import sympy as sp

from extrapolation.theory.asymptotics import case_split, log_scale, oscillation
from extrapolation.theory.asymptotics.expand import Reading
from extrapolation.theory.asymptotics.interval_germ import MINUS, PLUS, Germ
from extrapolation.theory.asymptotics.log_scale import Outcome
from extrapolation.theory.asymptotics.monomial import (
  Monomial,
  constant,
  monomial,
)
from extrapolation.theory.asymptotics.notation import show
from extrapolation.theory.asymptotics.sign_oracle import Expr, Oracle
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NeedsPrecision, NotProved
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.time_limit import limit

SIZES = (4, 8, 14)
SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What is known of sum exp b.

  Attributes:
    verdict: 'converges', 'diverges', 'conditional' or 'unknown'.
    condition: on positive parameters, for 'conditional'.
    argument: the proof in a line or two, or what was missing.
    margin: p - 1 where the weights fall like t^-p; None where they fall
      faster than every power. For KERPLE-log it is r1 - 1.
    log_depth: the k of the logarithmic scale, for a convergent sum.
  """

  verdict: str
  condition: str | None
  argument: str
  margin: Expr | None = None
  log_depth: int = 0


def judge(root: Node, seconds: float = SECONDS) -> Verdict:
  """The verdict on sum over distances of exp(root).

  Raises:
    UndefinedWeight: the weight is not a real number at large distances.
  """
  try:
    with limit(seconds):
      return _judge(root, time.monotonic() + seconds)
  except TimeoutError:
    return Verdict('unknown', None, f'no proof within {seconds:g} s')
  except (NotProved, NeedsPrecision, RecursionError) as e:
    why = str(e) or 'the formula is nested too deeply'
    return Verdict('unknown', None, f'no proof: {why}')


def _judge(root: Node, deadline: float) -> Verdict:
  names = sorted({n.data for n in nodes(root) if n.op == 'param'})
  symbols = {n: symbol(n) for n in names}
  leaves, condition = case_split.explore(
    lambda signs, values: _decide(root, signs, values, deadline), symbols
  )
  first = leaves[0].outcome
  if condition is True or condition is False:
    shown = next(
      (x.outcome for x in leaves if x.outcome.margin is not None), first
    )
    word = 'converges' if condition else 'diverges'
    return Verdict(word, None, shown.argument, shown.margin, shown.log_depth)
  yes = next(x.outcome for x in leaves if x.outcome.converges)
  no = next(x.outcome for x in leaves if not x.outcome.converges)
  edge = next((x.outcome.argument for x in leaves if x.values != symbols), None)
  argument = f'{yes.argument}; otherwise {no.argument}'
  if edge not in (None, yes.argument, no.argument):
    argument += f'; on the border {edge}'
  return Verdict(
    'conditional',
    case_split.text(condition),
    argument,
    yes.margin,
    yes.log_depth,
  )


def symbol(name: str) -> sp.Symbol:
  """What stands for a parameter: positive, or real where marked by ~."""
  if name.startswith('~'):
    return sp.Symbol(name[1:], real=True)
  return sp.Symbol(name, positive=True)


def _decide(
  root: Node, signs: Oracle, values: dict, deadline: float
) -> Outcome:
  problem: Exception = NotProved()
  for size in SIZES:
    field = HardyField(signs, size, deadline=deadline)
    try:
      return _classes(root, field, values)
    except (NotProved, NeedsPrecision) as e:
      problem = e
  raise problem


def _classes(root: Node, field: HardyField, values: dict) -> Outcome:
  try:
    return settle(field, Reading(field, values)(root))
  except (NotProved, NeedsPrecision):
    m = period(root)
    if m is None:
      raise
    t, outcomes = monomial(Monomial((sp.Integer(1),)), sp.Integer(m)), []
    for r in range(m):
      residue = field.add(t, constant(r))
      reading = Reading(field, values, residue)
      outcomes.append(settle(field, reading(root)))
      if not outcomes[-1].converges:
        break
    last = outcomes[-1]
    where = f'along t = {m} s + {len(outcomes) - 1}: '
    if last.converges:
      where = f'along each of the {m} classes t = {m} s + r: '
    return dataclasses.replace(last, argument=where + last.argument)


def period(root: Node, largest: int = 64) -> int | None:
  """m when all that keeps a formula from settling is floor(a t / m + c)."""
  m = 1
  for node in nodes(root):
    if node.op == 'floor' and node.args[0].op == 'add':
      inner = node.args[0]
      if [a.op for a in inner.args] == ['t']:
        m = sp.ilcm(m, inner.data[1][0].denominator)
  return int(m) if 1 < m <= largest else None


def settle(field: HardyField, germ: Germ) -> Outcome:
  """The verdict on a germ, with no case left open.

  Raises:
    NotProved: the bounds disagree and no rule joins them.
  """
  if germ.high == MINUS:
    return Outcome(
      True, 'the weights are exactly 0 beyond some distance: a finite sum'
    )
  if germ.low == PLUS:
    return Outcome(False, 'the weights are infinite at large distances')
  if germ.exact:
    return log_scale.decide(field, germ.low)
  if germ.high != PLUS:
    high = log_scale.decide(field, germ.high)
    if high.converges:
      return dataclasses.replace(
        high, argument=f'b <= {show(field, germ.high)}: {high.argument}'
      )
  if germ.low != MINUS:
    low = log_scale.decide(field, germ.low)
    if not low.converges:
      proof, low_text = low.argument, show(field, germ.low)
      if not field.parts(germ.low)[0].terms:
        proof = 'the terms do not tend to 0'
      return dataclasses.replace(low, argument=f'b >= {low_text}: {proof}')
  return oscillation.settle(field, germ)
