r"""Does sum_t exp b(t) converge: a proof, or unknown.

Rules, in the order tried, for L = b read as a germ (germ.py):
  zero      weights exactly 0 beyond some distance: a finite sum.
  terms     terms that do not tend to 0 diverge (term test).
  scale     the logarithmic scale: with l_0 = t, l_{k+1} = ln l_k and
            -b = l_1 + .. + l_k + q l_{k+1} + o(l_{k+1}), convergent iff q > 1
            (q = inf: faster than the scale). Comparison with
            1/(l_0 .. l_{k-1} l_k^q), settled by the integral test; k = 0 is the
            p-series, k = 1 Bertrand's. Hardy, Orders of Infinity, 1910, ch. V;
            Knopp, Theory and Application of Infinite Series, par. 37.
  bounds    low <= b <= high: convergent if exp(high) is, divergent if
            exp(low) is (direct comparison).
  waves     b = A + B w, w periodic in a phase equidistributed mod 2 pi
            (Weyl; Boshernitzan, J. Anal. Math. 62, 1994) or slowly varying:
            divergent if exp(A + B (max w - delta)) is for one delta > 0, as
            the distances with w > max w - delta have positive density.
  classes   floor(t / m): the residues t = m s + r one by one.
A partial sum is never evidence.
"""

import dataclasses
import time

import sympy as sp

from extrapolation.theory import cases
from extrapolation.theory.asymptotic import Reading
from extrapolation.theory.expression import Node, nodes
from extrapolation.theory.germ import MINUS, PLUS, Germ
from extrapolation.theory.limit import limit
from extrapolation.theory.monomial import (
  ONE,
  Imprecise,
  Monomial,
  Series,
  constant,
  level,
  monomial,
)
from extrapolation.theory.oracle import Undecided, tidy
from extrapolation.theory.transseries import Field

SIZES = (4, 8, 14)
RUNGS = 7
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
    rung: the k of the scale, for a convergent sum.
  """

  verdict: str
  condition: str | None
  argument: str
  margin: sp.Expr | None = None
  rung: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
  converges: bool
  argument: str
  margin: sp.Expr | None = None
  rung: int = 0


def judge(root: Node, seconds: float = SECONDS) -> Verdict:
  """The verdict on sum over distances of exp(root).

  Raises:
    Undefined: the weight is not a real number at large distances.
  """
  try:
    with limit(seconds):
      return _judge(root, time.monotonic() + seconds)
  except TimeoutError:
    return Verdict('unknown', None, f'no proof within {seconds:g} s')
  except (Undecided, Imprecise, RecursionError) as e:
    why = str(e) or 'the formula is nested too deeply'
    return Verdict('unknown', None, f'no proof: {why}')


def _judge(root, deadline):
  names = sorted({n.data for n in nodes(root) if n.op == 'param'})
  symbols = {n: symbol(n) for n in names}
  leaves, condition = cases.explore(
    lambda signs, values: _decide(root, signs, values, deadline), symbols
  )
  first = leaves[0].outcome
  if condition is True or condition is False:
    shown = next(
      (x.outcome for x in leaves if x.outcome.margin is not None), first
    )
    word = 'converges' if condition else 'diverges'
    return Verdict(word, None, shown.argument, shown.margin, shown.rung)
  yes = next(x.outcome for x in leaves if x.outcome.converges)
  no = next(x.outcome for x in leaves if not x.outcome.converges)
  edge = next((x.outcome.argument for x in leaves if x.values != symbols), None)
  argument = f'{yes.argument}; otherwise {no.argument}'
  if edge not in (None, yes.argument, no.argument):
    argument += f'; on the border {edge}'
  return Verdict(
    'conditional',
    cases.text(condition),
    argument,
    yes.margin,
    yes.rung,
  )


def symbol(name: str) -> sp.Symbol:
  if name.startswith('~'):
    return sp.Symbol(name[1:], real=True)
  return sp.Symbol(name, positive=True)


def _decide(root, signs, values, deadline) -> Outcome:
  problem = None
  for size in SIZES:
    field = Field(signs, size, deadline=deadline)
    try:
      return _classes(root, field, values)
    except (Undecided, Imprecise) as e:
      problem = e
  raise problem


def _classes(root, field, values):
  try:
    return settle(field, Reading(field, values)(root))
  except (Undecided, Imprecise):
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


def settle(field: Field, germ: Germ) -> Outcome:
  """The verdict on a germ, with no case left open.

  Raises:
    Undecided: the bounds disagree and no rule joins them.
  """
  if germ.high == MINUS:
    return Outcome(
      True, 'the weights are exactly 0 beyond some distance: a finite sum'
    )
  if germ.low == PLUS:
    return Outcome(False, 'the weights are infinite at large distances')
  if germ.exact:
    return scale(field, germ.low)
  if germ.high != PLUS:
    high = scale(field, germ.high)
    if high.converges:
      return dataclasses.replace(
        high, argument=f'b <= {show(field, germ.high)}: {high.argument}'
      )
  if germ.low != MINUS:
    low = scale(field, germ.low)
    if not low.converges:
      proof, low_text = low.argument, show(field, germ.low)
      if not field.parts(germ.low)[0].terms:
        proof = 'the terms do not tend to 0'
      return dataclasses.replace(low, argument=f'b >= {low_text}: {proof}')
  if germ.wave is not None:
    # Imported here: the rules for waves end on the scale above.
    from extrapolation.theory import oscillation

    return oscillation.settle(field, germ)
  raise Undecided('upper and lower bounds of the weights disagree')


def scale(field: Field, b: Series) -> Outcome:
  """The logarithmic scale for an exp-log function."""
  rest, first = field.neg(b), None
  for k in range(RUNGS):
    unit = level(k + 1)
    c, order = _relative(field, rest, unit)
    if order > 0:
      if field.signs.sign(c) > 0:
        if k == 0:
          return Outcome(True, _faster(field, b))
        return Outcome(
          True,
          f'-b = {_chain(k)} + more than any multiple of {_name(k + 1)}: '
          f'comparison with {_family(k, 2)} (logarithmic scale)',
          None,
          k,
        )
      if k == 0:
        return Outcome(False, _no_decay(field, b))
      return Outcome(False, f'-b < {_chain(k)} in the end: {_family(k - 1, 1)} '
                     'diverges')  # fmt: skip
    q = c if order == 0 else sp.Integer(0)
    margin = tidy(q - 1)
    first = margin if first is None else first
    side = field.signs.sign(margin)
    if side:
      return _placed(field, b, k, q, first, side)
    rest = field.sub(rest, monomial(unit))
  raise Undecided(f'as close to the border as {_family(RUNGS - 1, 1)}')


def _relative(field, x, unit):
  """(coefficient, order) of the leading term of x against `unit`."""
  if x.terms:
    c, m = x.terms[0]
    order = field.compare(m, unit)
    if order >= 0:
      return c, order
  if x.rest is not None and field.compare(x.rest, unit) >= 0:
    raise Imprecise('the remainder hides the scale')
  return sp.Integer(0), -1


def _placed(field, b, k, q, margin, side):
  word = 'converges' if side > 0 else 'diverges'
  sign = '>' if side > 0 else '<'
  if k == 0:
    if side < 0 and (q == 0 or field.signs.sign(q) <= 0):
      return Outcome(False, _no_decay(field, b), margin)
    q = brief(q)
    return Outcome(
      side > 0,
      f'-b/ln t -> {q} {sign} 1: sum {word} by comparison with the p-series '
      f'sum 1/t^p, p = {q}',
      margin,
    )
  return Outcome(
    side > 0,
    f'-b = {_chain(k)} + q {_name(k + 1)} + o({_name(k + 1)}), '
    f'q = {brief(q)} {sign} 1: sum {word} by comparison with '
    f'{_family(k, "q")} (Bertrand, integral test)',
    margin,
    k,
  )


def _faster(field, b):
  return (
    f'-b/ln t -> inf, as b ~ {show(field, Series(b.terms[:1]))}: faster than '
    'every power, comparison with sum 1/t^2'
  )


def _no_decay(field, b):
  """Divergence without a power: constant, growing or slower than any power."""
  top = b.terms[0][1] if b.terms else b.rest
  order = 0 if top is None else field.compare(top, ONE)
  if order <= 0:
    c = sum((c for c, m in b.terms if m == ONE), sp.Integer(0))
    return f'b -> {brief(c)}, so the terms do not tend to 0'
  if field.signs.sign(b.terms[0][0]) > 0:
    return (
      f'b ~ {show(field, Series(b.terms[:1]))} grows: terms do not tend to 0'
    )
  return (
    f'b ~ {show(field, Series(b.terms[:1]))}, so -b/ln t -> 0 < 1: comparison '
    'with the harmonic series'
  )


def show(field: Field, x: Series) -> str:
  """A series in the letters of the formula."""
  t = sp.Symbol('t', positive=True)

  def write(m):
    out, base = sp.Integer(1), t
    for a in m.logs:
      out *= base**a
      base = sp.log(base)
    return out * sp.exp(sp.Add(*(c * write(g) for g, c in m.exps)))

  if isinstance(x, str):
    return x
  terms = [brief(c * write(m)) for c, m in x.terms[:3]]
  if len(x.terms) > 3 or not x.exact:
    terms.append('...')
  return ' + '.join(terms).replace('+ -', '- ') or '0'


def brief(x) -> str:
  """x as text; fractions that stem from floats are written as decimals.

  What a user wrote, such as 1.000000001, is a decimal fraction and stays exact.
  """
  x = sp.sympify(x)
  for kind in (sp.Rational, sp.Float):  # floats arise from the first pass
    x = x.xreplace({a: _decimal(a) for a in x.atoms(kind)})
  return sp.sstr(x, full_prec=False)


def _decimal(a):
  exact = a.is_Rational and (a.q <= 10_000 or a.q & (a.q - 1))
  if exact or not 1e-300 < abs(a) < 1e300:
    return a
  texts = (f'{float(a):.{digits}g}' for digits in (7, 12, 17))
  return sp.Float(next(x for x in texts if float(x) % 1 or a == int(a)))


def _name(k):
  return 'ln ' * k + 't'


def _chain(k):
  return ' + '.join(_name(i + 1) for i in range(k))


def _family(k, q):
  factors = [f'({_name(i)})' if i else 't' for i in range(k + 1)]
  if q != 1:
    factors[-1] += f'^{q}'
  return f'sum 1/({" ".join(factors)})'
