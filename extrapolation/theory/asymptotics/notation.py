"""Expansions and numbers written in the letters of the formula."""

import re
from collections.abc import Callable
from typing import Any

import sympy as sp

from extrapolation.theory.asymptotics.monomial import Expansion, Monomial
from extrapolation.theory.asymptotics.sign_oracle import Expr, rational
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.expression.graph import Node, nodes

FUNCTIONS: dict[str, Callable] = {
  'mul': sp.Mul,
  'pow': sp.Pow,
  'log': sp.log,
  'floor': sp.floor,
  'lt': lambda x: sp.Lt(x, 0),
  'select': lambda when, then, other: then if when == sp.true else other,
}


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


def exponential(root: Node) -> str:
  """e^root at a whole t > 0, such as `4 t` and `2^t`; `n(t)` if it is long."""
  t = sp.Symbol('t', integer=True, positive=True)
  values: dict[Node, Any] = {}
  for node in nodes(root):
    args = [values[a] for a in node.args]
    if node.op == 't':
      values[node] = t
    elif node.op == 'const':
      values[node] = rational(node.data)
    elif node.op == 'add':
      constant, coefficients = node.data
      parts = map(sp.Mul, map(rational, coefficients), args)
      values[node] = sp.Add(rational(constant), *parts)
    elif node.op in FUNCTIONS:
      values[node] = FUNCTIONS[node.op](*args)
    else:
      return 'n(t)'
  text = str(sp.exp(values[root]).rewrite(sp.Pow))
  text = re.sub(r'(?<=\d)\*(?=[a-z])', ' ', text).replace('**', '^')
  return text if len(text) < 40 else 'n(t)'


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
