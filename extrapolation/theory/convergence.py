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
  arcs      sin and cos of multiples of one phase: arcs of the circle that
            cover it, as sets of positive measure have positive density.
  classes   floor(t / m): the residues t = m s + r, together or one by one.
A partial sum is never evidence.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import sympy as sp

from extrapolation.theory.asymptotics import (
  case_split,
  cover,
  log_scale,
  oscillation,
)
from extrapolation.theory.asymptotics.expand import Reading
from extrapolation.theory.asymptotics.interval_germ import (
  MINUS,
  PLUS,
  Germ,
  point,
)
from extrapolation.theory.asymptotics.log_scale import Outcome
from extrapolation.theory.asymptotics.monomial import (
  Expansion,
  Monomial,
  constant,
  monomial,
)
from extrapolation.theory.asymptotics.notation import show
from extrapolation.theory.asymptotics.sign_oracle import Expr, Oracle
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import (
  NeedsPrecision,
  NotProved,
  UndefinedWeight,
)
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.time_limit import limit

SIZES = (2, 4, 8, 14)  # terms of an expansion
SECONDS = 5.0  # of the processor
LONGEST_PERIOD = 1024
Settle = Callable[[Node, HardyField, dict], Any]  # to an outcome


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What is known of sum exp b.

  Attributes:
    verdict: 'converges', 'diverges', 'conditional' or 'unknown'; 'not judged'
      where order enters beside the weights.
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


def judge(
  root: Node, seconds: float = SECONDS, settle: Settle | None = None
) -> Verdict:
  """The verdict on sum over distances of exp(root).

  Args:
    root: the log weight.
    seconds: of the processor, after which it is unknown.
    settle: the rules, in one case of the parameters; all of them if absent.

  Raises:
    UndefinedWeight: the weight is not a real number at large distances.
  """
  try:
    with limit(seconds):
      cases = explore(root, settle or _parts, seconds)
  except TimeoutError:
    return Verdict(
      'unknown', None, f'no proof within {seconds:g} s of the processor'
    )
  except (NotProved, NeedsPrecision, RecursionError) as e:
    why = str(e) or 'the formula is nested too deeply'
    return Verdict('unknown', None, f'no proof: {why}')
  leaves, condition, symbols = cases
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
  text = case_split.text(condition)
  return Verdict('conditional', text, argument, yes.margin, yes.log_depth)


def explore(
  root: Node, settle: Settle, seconds: float = SECONDS
) -> tuple[list[case_split.Leaf], case_split.Condition, dict]:
  """`case_split.explore` by ever more terms, and the parameters' symbols."""
  deadline = time.thread_time() + seconds
  names = sorted({n.data for n in nodes(root) if n.op == 'param'})
  symbols = {n: symbol(n) for n in names}

  def run(signs: Oracle, values: dict) -> Any:
    problem: Exception = NotProved()
    for size in SIZES:
      field = HardyField(signs, size, deadline=deadline)
      try:
        return settle(root, field, values)
      except (NotProved, NeedsPrecision) as e:
        problem = e
    raise problem

  return *case_split.explore(run, symbols), symbols


def symbol(name: str) -> sp.Symbol:
  """What stands for a parameter: positive, or real where marked by ~."""
  if name.startswith('~'):
    return sp.Symbol(name[1:], real=True)
  return sp.Symbol(name, positive=True)


def _parts(root: Node, field: HardyField, values: dict) -> Outcome:
  """The verdict on all distances at once, else on parts that cover them."""
  try:
    return settle(field, Reading(field, values)(root))
  except (NotProved, NeedsPrecision) as e:
    problem: Exception = e
  rules = (_arcs, _classes) if field.size == SIZES[1] else (_classes,)
  for rule in rules:
    try:
      return rule(root, field, values)
    except (NotProved, NeedsPrecision) as e:
      problem = e if str(e) else problem
  raise problem


def _phases(root: Node, field: HardyField, values: dict) -> list[Expansion]:
  """What sin and cos are taken of, without limit."""
  reading = Reading(field, values)
  out = (reading(n.args[0]) for n in nodes(root) if n.op in ('sin', 'cos'))
  exact = [x.low for x in out if x.exact and not isinstance(x.low, str)]
  return [x for x in exact if field.parts(x)[0].terms]


def _arcs(root: Node, field: HardyField, values: dict) -> Outcome:
  """Arcs of one phase."""
  circle = cover.circle(field, _phases(root, field, values))
  if circle is None:
    raise NotProved

  def germ(part: tuple[int, int]) -> Germ:
    try:
      return Reading(field, values, arcs=circle.ranges(part))(root)
    except UndefinedWeight as e:
      if circle.kind is None:  # perhaps at no distance
        raise NotProved(str(e)) from None
      raise

  def read(part: tuple[int, int]) -> Outcome:
    outcome = bounded(field, germ(part))
    if outcome is None:
      raise NotProved('direct comparison decides no arc of the phase')
    return outcome

  def told(part: tuple[int, int] | None) -> str:
    if part is None:
      return 'on each arc of the phase: '
    a, b = (sp.Rational(x, cover.NARROWEST) for x in part)
    return (
      f'while the phase is between {a} and {b} of its period, a set of '
      f'positive density ({circle.kind}): '
    )

  known = circle.kind is not None
  out = cover.join(read, (0, cover.NARROWEST), 1, told, known)
  for i in range(0 if out.converges else cover.NARROWEST):
    with contextlib.suppress(NotProved, NeedsPrecision):
      germ((i, i + 1))  # is a number on every arc
  return out


def _classes(root: Node, field: HardyField, values: dict) -> Outcome:
  """Residues t = m s + r of floor(t / m), and of sin(2 pi t / m)."""
  m = period(root, LONGEST_PERIOD) or 1
  for x in _phases(root, field, values):
    turns = x.terms[0][0] / (2 * sp.pi)
    m = math.lcm(m, int(turns.q) if turns.is_Rational else 1)
  if not 1 < m <= LONGEST_PERIOD:
    raise NotProved
  t = monomial(Monomial((sp.Integer(1),)), sp.Integer(m))

  def read(part: tuple[int, int]) -> Outcome:
    low, high = (field.add(t, constant(r)) for r in (part[0], part[1] - 1))
    at = Germ(low, high) if part[1] - part[0] > 1 else point(low)
    return settle(field, Reading(field, values, at)(root))

  def told(part: tuple[int, int] | None) -> str:
    if part is None:
      return f'along each residue class t = {m} s + r: '
    return f'along the residue class t = {m} s + {part[0]}: '

  return cover.join(read, (0, m), 1, told)


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
  return bounded(field, germ) or oscillation.settle(field, germ)


def bounded(field: HardyField, germ: Germ) -> Outcome | None:
  """The verdict that the bounds of a germ share; None where they disagree."""
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
  return None
