"""Asymptotic expansions of special functions of x -> infinity."""

from typing import Any

import flint
import sympy as sp

from extrapolation.theory.asymptotics.monomial import Expansion, constant
from extrapolation.theory.asymptotics.transseries import HardyField


def lgamma(field: HardyField, x: Expansion) -> Expansion:
  """Stirling: (x - 1/2) ln x - x + ln(2 pi) / 2 + r, 0 < r < 1 / (12 x)."""
  half: Any = sp.Rational(1, 2)
  main = field.mul(field.add(x, constant(-half)), field.log(x))
  main = field.add(field.sub(main, x), constant(half * sp.log(2 * sp.pi)))
  small = field.scale(field.inverse(x), sp.Rational(1, 12))
  bound = None if field.T is None else field.supremum(small)
  return field.add(main, Expansion((), small.top, bound))


def erf(field: HardyField, x: Expansion) -> Expansion:
  """1 - e^(-x^2) / (x sqrt pi) sum_k (-1)^k (2k - 1)!! / (2 x^2)^k.

  The remainder is less than the first term left out (DLMF 7.12.1).
  """
  square = field.mul(x, x)
  series = field.compose(
    field.scale(field.inverse(square), sp.Rational(1, 2)),
    lambda k: (-1) ** k * sp.factorial2(2 * k - 1),
    lambda n, r: flint.arb(int(sp.factorial2(2 * n - 1))),
  )
  tail = field.mul(
    field.exp(field.neg(square)), field.mul(field.inverse(x), series)
  )
  size: Any = sp.pi ** sp.Rational(-1, 2)
  return field.sub(constant(1), field.scale(tail, size))


def atan(field: HardyField, x: Expansion) -> Expansion:
  """pi / 2 - sum_k (-1)^k x^(-2k - 1) / (2k + 1)."""
  inverse = field.inverse(x)
  series = field.compose(
    field.mul(inverse, inverse),
    lambda k: sp.Rational((-1) ** k, 2 * k + 1),
    lambda n, r: 1 / (1 - r),
  )
  return field.sub(constant(sp.pi / 2), field.mul(inverse, series))
