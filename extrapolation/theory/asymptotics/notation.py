"""Expansions and numbers written in the letters of the formula."""

import sympy as sp

from extrapolation.theory.asymptotics.monomial import Expansion, Monomial
from extrapolation.theory.asymptotics.sign_oracle import Expr
from extrapolation.theory.asymptotics.transseries import HardyField


def show(field: HardyField, x: Expansion) -> str:
  """A series in the letters of the formula."""
  t = sp.Symbol('t', positive=True)

  def write(m: Monomial) -> Expr:
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


def brief(x: Expr | int) -> str:
  """x as text; fractions that stem from floats are written as decimals.

  What a user wrote, such as 1.000000001, is a decimal fraction and stays exact.
  """
  x = sp.sympify(x)
  out = x
  for kind in (sp.Rational, sp.Float):  # floats arise from the first pass
    out = out.xreplace({a: _decimal(a) for a in out.atoms(kind)})
  if out.has(sp.I):  # a difference that decimals turn around
    out = x.evalf(7)
  return sp.sstr(out, full_prec=False)


def _decimal(a: Expr) -> Expr:
  exact = a.is_Rational and (a.q <= 10_000 or a.q & (a.q - 1))
  if exact or not 1e-300 < abs(a) < 1e300:
    return a
  texts = (f'{float(a):.{digits}g}' for digits in (7, 12, 17))
  return sp.Float(next(x for x in texts if float(x) % 1 or a == int(a)))
