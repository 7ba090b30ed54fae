r"""Sums of w(t) = A(t) exp(c sin(omega t + phi)), a wave that never settles.

exp(c sin x) = sum_k a_k e^{ikx}, |a_k| = I_k(c) (modified Bessel), and summing
by parts |sum_{t>=j} A(t) e^{ik omega t}| <= V_j / |sin(k omega / 2)|, V_j the
total variation of A beyond j. So, for J large,

  |T_J - I_0(c) S_J| <= 2 sum_k I_k(c) min(V_J / |sin(k omega / 2)|, S_J),

S_J = sum_{t>=J} A(t). Nearer distances are summed one by one.
"""

from fractions import Fraction

from flint import arb

from extrapolation.theory.enclosures import ball, sums
from extrapolation.theory.errors import UndefinedTotal
from extrapolation.theory.expression.graph import Graph, Node

NEAR = (1 << 13, 1 << 15, 1 << 17)  # tokens summed one by one
HARMONICS = 40


def split(root: Node) -> tuple[Node, Fraction, Fraction] | None:
  """(ln A, c, omega) of a log weight ln A + c sin(omega t + phi), or None."""
  if root.op != 'add':
    return None
  waves = [i for i, a in enumerate(root.args) if a.op in ('sin', 'cos')]
  if len(waves) != 1:
    return None
  (i,) = waves
  x = root.args[i].args[0]
  linear = x.op == 't' or (x.op == 'add' and [a.op for a in x.args] == ['t'])
  if not linear:
    return None
  omega = Fraction(1) if x.op == 't' else x.data[1][0]
  graph, (constant, coefficients) = Graph(), root.data
  rest = [
    (c, a)
    for k, (c, a) in enumerate(zip(coefficients, root.args, strict=True))
    if k != i
  ]
  base = graph.total([(constant, graph.one), *rest])
  return base, coefficients[i], omega


class WaveSums:
  """B and T_j, like sums.Sums."""

  def __init__(
    self, root: Node, base: sums.Sums, c: Fraction, omega: Fraction, near: int
  ):
    self.base = base
    with sums.precision():
      self.c, half = abs(ball.number(c)), ball.number(omega) / 2
      self.mean = self.c.bessel_i(0)
      self.factors = [
        (2 * self.c.bessel_i(k), abs((half * k).sin()).lower())
        for k in range(1, HARMONICS)
      ]
      # I_k(c) <= (c/2)^k / k! e^(c/2): beyond, a geometric series.
      k = HARMONICS
      last = (self.c / 2) ** k / arb(k + 1).gamma() * (self.c / 2).exp()
      self.rest = 2 * last / (1 - self.c / (2 * k))
      self.tails, program = [], ball.Program(root)
      total = self.beyond(near)
      tails = [total]
      for t in range(near - 1, -1, -1):
        w = program(arb(t), ball.Balls).exp()
        if not w.is_finite():
          raise UndefinedTotal(f'the weight at distance {t} is infinite')
        total = total + w
        tails.append(total)
      self.tails = tails[::-1]

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j."""
    if j < len(self.tails):
      return self.tails[j]
    with sums.precision(96 + j.bit_length()):
      s, v = self.base.beyond(j), self.base.variation(j)
      error = self.rest * s
      for size, sine in self.factors:
        by_parts = v / sine if sine > 0 else s
        error += size * by_parts.min(s)
      return self.mean * s + arb(0, error.upper())


__all__ = ['WaveSums', 'split']
