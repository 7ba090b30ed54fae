"""A formula read as an exact sympy expression, floats as fractions."""

import sympy as sp

from extrapolation.theory import convergence
from extrapolation.theory.asymptotics import sign_oracle
from extrapolation.theory.expression.graph import Node, nodes

T = sp.Symbol('t', integer=True, nonnegative=True)


class Table(sp.Function):
  """Table(index, v_0, v_1, ...) = v_index, the index clamped to the table."""

  @classmethod
  def eval(cls, index, *entries):
    if index.is_Integer:
      return entries[min(max(int(index), 0), len(entries) - 1)]
    return None


FUNCTIONS = {
  'exp': sp.exp,
  'log': sp.log,
  'sin': sp.sin,
  'cos': sp.cos,
  'erf': sp.erf,
  'atan': sp.atan,
  'lgamma': sp.loggamma,
  'abs': sp.Abs,
  'floor': sp.floor,
  'sign': sp.sign,
  'max': sp.Max,
  'min': sp.Min,
  'mul': sp.Mul,
  'pow': sign_oracle.power,
  'and': sp.And,
  'or': sp.Or,
  'not': sp.Not,
  'lt': lambda x: sp.Lt(x, 0),
  'le': lambda x: sp.Le(x, 0),
  'eq': lambda x: sp.Eq(x, 0),
}


def expression(root: Node, t: sp.Symbol = T) -> sp.Expr:
  """The log weight as a function of `t`; parameters are positive symbols."""
  values = {}
  for node in nodes(root):
    args = [values[a] for a in node.args]
    values[node] = _one(node, args, t)
  return values[root]


def _one(node, args, t):
  if node.op == 't':
    return t
  if node.op == 'const':
    truth = isinstance(node.data, bool)
    return sp.sympify(node.data) if truth else sign_oracle.rational(node.data)
  if node.op == 'inf':
    return sp.oo * node.data
  if node.op == 'nan':
    return sp.nan
  if node.op == 'param':
    return convergence.symbol(node.data)
  if node.op == 'add':
    constant, coefficients = node.data
    terms = [
      sign_oracle.rational(c) * x
      for c, x in zip(coefficients, args, strict=True)
    ]
    return sp.Add(sign_oracle.rational(constant), *terms)
  if node.op == 'select':
    return sp.Piecewise((args[1], args[0]), (args[2], True))
  if node.op == 'table':
    return Table(*args)
  return FUNCTIONS[node.op](*args)
