"""Functions of one or two exact expressions, written in those of the graph."""

from collections.abc import Callable
from fractions import Fraction

from extrapolation.theory.expression.graph import Graph, Node

HALF = Fraction(1, 2)


def truncate(g: Graph, x: Node) -> Node:
  """Towards 0; skipped where the expression is visibly an integer."""
  whole = x.op == 'const' and Fraction(x.data).denominator == 1
  if whole or x.op in ('floor', 't'):
    return x
  up = ceil(g, x)
  return g.select(g.compare('lt', x, g.zero), up, g.unary('floor', x))


def ceil(g: Graph, x: Node) -> Node:
  """-floor(-x)."""
  return g.neg(g.unary('floor', g.neg(x)))


def floor_over(g: Graph, x: Node, n: int) -> Node:
  """floor(x / n)."""
  return g.unary('floor', g.div(x, g.const(n)))


def remainder(g: Graph, x: Node, y: Node) -> Node:
  """C's fmod: the sign of x."""
  return g.sub(x, g.mul(y, truncate(g, g.div(x, y))))


def round_to_even(g: Graph, x: Node) -> Node:
  """The nearest integer, the even one of two."""
  up = g.total([(1, x), (HALF, g.one)])
  near = g.unary('floor', up)
  odd = g.compare('lt', g.total([(2, floor_over(g, near, 2))]), near)
  tie = g.logic('and', g.compare('eq', up, near), odd)
  return g.select(tie, g.sub(near, g.one), near)


def round_away(g: Graph, x: Node) -> Node:
  """The nearest integer, the larger one of two in size."""
  up = g.total([(1, g.unary('abs', x)), (HALF, g.one)])
  return g.mul(g.unary('sign', x), g.unary('floor', up))


def exp(g: Graph, x: Node) -> Node:
  """e^x."""
  return g.unary('exp', x)


def log(g: Graph, x: Node) -> Node:
  """ln x."""
  return g.unary('log', x)


def root(g: Graph, x: Node, power: Fraction = HALF) -> Node:
  """x^power, a square root by default."""
  return g.pow(x, g.const(power))


def cbrt(g: Graph, x: Node) -> Node:
  """The real cube root."""
  size = root(g, g.unary('abs', x), Fraction(1, 3))
  return g.mul(g.unary('sign', x), size)


def tanh(g: Graph, x: Node) -> Node:
  """1 - 2 / (e^2x + 1)."""
  e = exp(g, g.total([(2, x)]))
  return g.sub(g.one, g.div(g.const(2), g.add(e, g.one)))


def hyperbolic(sign: int) -> Callable[[Graph, Node], Node]:
  """(e^x + sign e^-x) / 2."""
  return lambda g, x: g.total(
    [(HALF, exp(g, x)), (sign * HALF, exp(g, g.neg(x)))]
  )


def inverse_hyperbolic(sign: int) -> Callable[[Graph, Node], Node]:
  """ln(x + sqrt(x^2 + sign))."""
  return lambda g, x: log(
    g, g.add(x, root(g, g.total([(1, g.mul(x, x)), (sign, g.one)])))
  )


def atanh(g: Graph, x: Node) -> Node:
  """ln((1 + x) / (1 - x)) / 2."""
  ratio = g.div(g.add(g.one, x), g.sub(g.one, x))
  return g.total([(HALF, log(g, ratio))])


def maximum(g: Graph, x: Node, y: Node) -> Node:
  """max(x, y)."""
  return g.pick('max', x, y)


def minimum(g: Graph, x: Node, y: Node) -> Node:
  """min(x, y)."""
  return g.pick('min', x, y)
