r"""Sums of w(t) = A(t) h(t), h periodic: a wave that never settles.

h = sum_k h_k e^{ik omega t}, and summing by parts
|sum_{t>=J} A(t) e^{ik omega t}| <= V_J / |sin(k omega / 2)|, V_J the total
variation of A beyond J. So, with S_J = sum_{t>=J} A(t),

  |T_J - h_0 S_J| <= 2 sum_{k>0} |h_k| min(V_J / |sin(k omega / 2)|, S_J).

The h_k are means over N points of a
period, each exact up to h_{k+N}, h_{k-N}, ..; and p integrations by parts
bound |h_k| by M / k^p, M = sup |h^(p)| / omega^p. Both hold for every smooth h.
"""

import math
from fractions import Fraction

from flint import acb, arb, fmpq

from extrapolation.theory.enclosures import ball, sums
from extrapolation.theory.enclosures.taylor_model import ORDER, Jets, variable
from extrapolation.theory.errors import NeedsSmallerBlock, NotProved
from extrapolation.theory.expression.graph import Graph, Node

POINTS = (64, 256, 1024)  # of a period
SMALL = 1e-12  # of h_0: the sum of all |h_k| that are bounded by M / k^p alone


def split(root: Node) -> tuple[Node, Node, Fraction] | None:
  """(ln A, ln h, omega) of a log weight, or None where it is no such sum."""
  if root.op != 'add':
    return None
  slopes, waves, rest = set(), [], []
  for c, x in zip(root.data[1], root.args, strict=True):
    within = _slopes(x)
    (waves if within else rest).append((c, x))
    slopes |= within or set()
  if not waves or not rest:
    return None
  graph = Graph()
  omega = Fraction(
    math.gcd(*(s.numerator * _common(slopes) // s.denominator for s in slopes)),
    _common(slopes),
  )
  return (
    graph.total(rest),
    graph.total([(root.data[0], graph.one), *waves]),
    omega,
  )


def _common(slopes: set[Fraction]) -> int:
  return math.lcm(*(s.denominator for s in slopes))


def _slopes(x: Node) -> set[Fraction] | None:
  """The c of every sin or cos (c t + ..) where t occurs in those alone."""
  out, seen, stack = set(), set(), [x]
  while stack:
    node = stack.pop()
    if node.op == 't':
      return None
    if node in seen:
      continue
    seen.add(node)
    a = node.args[0] if node.args else node
    wave = node.op in ('sin', 'cos')
    if wave and a.op == 't':
      out.add(Fraction(1))
    elif wave and a.op == 'add' and [y.op for y in a.args] == ['t']:
      out.add(abs(a.data[1][0]))
    else:
      stack.extend(node.args)
  return out


class Wave:
  """The Fourier coefficients of h.

  Attributes:
    mean: h_0.
    sizes: (2 |h_k|, |sin(k omega / 2)|) for k = 1, 2, ..
    rest: bound of 2 |h_k| summed over all later k.

  Raises:
    NotProved: h is not smooth, or its coefficients fall too slowly.
  """

  def __init__(self, root: Node, omega: Fraction):
    program = ball.Program(root)
    for n in POINTS:
      with sums.precision():
        period = 2 * arb.pi() / ball.number(omega)
        M = _derivative(program, period, n) / ball.number(omega) ** ORDER
        K = n // 2
        rest = 2 * M * arb(K - 1) ** (1 - ORDER) / (ORDER - 1)  # over k >= K
        if not rest.is_finite():
          continue
        h = [program(period * m / n, ball.Balls) for m in range(n)]
        h = [arb(x).exp() for x in h]
        self.mean = sum(h, arb(0)) / n + arb(0, rest.upper())
        if rest < SMALL * self.mean:
          break
    else:
      raise NotProved(
        'the Fourier coefficients of the periodic factor fall too slowly'
      )
    with sums.precision():
      turns = [acb.exp_pi_i(acb(fmpq(2 * m, n))) for m in range(n)]
      half, self.sizes = ball.number(omega) / 2, []
      for k in range(1, K):
        c = sum((x * turns[k * m % n] for m, x in enumerate(h)), acb(0)) / n
        size = 2 * (abs(c).upper() + rest.upper())  # |h_{k+n}| + .. <= rest
        self.sizes.append((size, abs((half * k).sin()).lower()))
      self.rest = rest.upper()


def _derivative(program: ball.Program, period: arb, n: int) -> arb:
  """Bound of the p-th derivative of h over a period."""
  largest = arb(0)
  for m in range(n):
    a, b = period * m / n, period * (m + 1) / n
    try:
      x = Jets.exp(program(variable((a + b) / 2, a.union(b)), Jets))
    except NeedsSmallerBlock:
      return arb.pos_inf()
    if x.fuzzy:  # a step, and no derivative
      return arb.pos_inf()
    largest = largest.max(x.range[ORDER].abs_upper())
  return largest * math.factorial(ORDER)


class WaveSums:
  """Far tails of a wave times A, by the sums of A."""

  def __init__(self, base: sums.Sums, root: Node, omega: Fraction):
    self.base, self.wave = base, Wave(root, omega)

  def beyond(self, j: int) -> arb:
    """Encloses T_j."""
    with sums.precision(96 + j.bit_length()):
      s, v = self.base.beyond(j), self.base.variation(j)
      error = self.wave.rest * s
      for size, sine in self.wave.sizes:
        by_parts = v / sine if sine > 0 else s
        error += size * by_parts.min(s)
      return ball.positive(self.wave.mean * s + arb(0, error.upper()))
