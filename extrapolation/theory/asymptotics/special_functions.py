"""Special functions of expansions, with bounds of the remainders."""

from collections.abc import Callable
from typing import Any

import flint
import sympy as sp

from extrapolation.theory.asymptotics.monomial import Expansion, constant
from extrapolation.theory.asymptotics.sign_oracle import Expr, canonical
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
  """Towards a limit c its Taylor series, (2 / sqrt pi) e^(-c^2) sum_k>0
  (-1)^(k-1) H_(k-1)(c) (x - c)^k / k! beside erf c; else that of `_far_erf`.

  Its coefficients are below 5 / 4 by Cramer's bound of Hermite polynomials
  (Abramowitz and Stegun 22.14.17).
  """

  def coefficient(c: Expr, k: int) -> Expr:
    size: Any = sp.exp(-(c**2))
    root: Any = sp.sqrt(sp.pi)
    sign = 2 * (-1) ** (k - 1)
    return sign * size * sp.hermite(k - 1, c) / (sp.factorial(k) * root)

  return _bounded(field, x, sp.erf, coefficient, _far_erf)


def atan(field: HardyField, x: Expansion) -> Expansion:
  """Towards a limit c its Taylor series, sum_k>0 (-1)^(k-1) Im (c + i)^k
  (1 + c^2)^-k (x - c)^k / k beside atan c; else that of `_far_atan`."""

  def coefficient(c: Expr, k: int) -> Expr:
    size: Any = sp.im(sp.expand((c + sp.I) ** k))
    return (-1) ** (k - 1) * size / (k * (1 + c**2) ** k)

  return _bounded(field, x, sp.atan, coefficient, _far_atan)


def _bounded(
  field: HardyField,
  x: Expansion,
  f: Callable[[Expr], Expr],
  coefficient: Callable[[Expr, int], Expr],
  far: Callable[[HardyField, Expansion], Expansion],
) -> Expansion:
  """An odd function whose Taylor coefficients are at most 5 / 4."""
  large, c, small = field.parts(x)
  if not large.terms:
    out = field.compose(
      small,
      lambda k: canonical(coefficient(c, k)) if k else f(c),
      lambda n, r: 5 / (4 * (1 - r)),
    )
    return field.add(out, Expansion())
  if field.sign(x) > 0:
    return far(field, x)
  return field.neg(far(field, field.neg(x)))


def _far_erf(field: HardyField, x: Expansion) -> Expansion:
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


def _far_atan(field: HardyField, x: Expansion) -> Expansion:
  """pi / 2 - sum_k (-1)^k x^(-2k - 1) / (2k + 1)."""
  inverse = field.inverse(x)
  series = field.compose(
    field.mul(inverse, inverse),
    lambda k: sp.Rational((-1) ** k, 2 * k + 1),
    lambda n, r: 1 / (1 - r),
  )
  return field.sub(constant(sp.pi / 2), field.mul(inverse, series))
