"""What a finite horizon sees of a formula, every number of it proved."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import flint
import numpy as np
from flint import arb
from jaxtyping import Float

from extrapolation.theory import trf_bounds
from extrapolation.theory.enclosures import ball, finite_sum, float_bounds, sums
from extrapolation.theory.enclosures.taylor_model import Jets, variable
from extrapolation.theory.errors import (
  NeedsSmallerBlock,
  NotProved,
  TheoryError,
)
from extrapolation.theory.expression.graph import Node

LONGEST = 10**7  # tokens of a horizon
DIGITS = 12  # of a printed number, or as many as are proved
FEWEST = 4


@dataclasses.dataclass(frozen=True)
class Horizon:
  """What distances below n show, whatever happens beyond.

  Every number is proved: an integer is the one, a real number is rounded to
  digits that are all right. What could not be proved is None.

  Attributes:
    n: the horizon in tokens.
    far_mass: share of the weight below n that lies at or beyond `train`.
    exponent: local exponent -t b'(t) at t = n: the p of t^-p there.
    trf: n(eps) of the weights below n, for each eps; None without a total.
    note: why something is None.
  """

  n: int
  far_mass: float | None
  exponent: float | None
  trf: list[int | None] | None
  note: str | None = None


def log_weights(
  root: Node, t: Float[np.ndarray, ' d']
) -> Float[np.ndarray, ' d']:
  """b(t) in float64, to draw; NaN where the formula has no value."""
  return float_bounds.log_weights(root, t)[0]


def horizon(
  root: Node, n: int, train: int, eps: Sequence[str | float | Fraction]
) -> Horizon:
  """The horizon form of a receptive field."""
  if not 1 <= n <= LONGEST:
    raise ValueError(f'horizon = {n}: 1 to {LONGEST} tokens can be summed')
  shares, slope = [trf_bounds.share(e) for e in eps], exponent(root, n)
  try:
    far, fields, note = _shares(
      finite_sum.without_constant(root), n, train, shares
    )
  except TheoryError as e:
    return Horizon(n, None, slope, None, str(e))
  return Horizon(n, far, slope, fields, note)


def _shares(
  root: Node, n: int, train: int, eps: Sequence[Fraction]
) -> tuple[float | None, list[int | None], str | None]:
  """Far mass and n(eps) below n from float64, or what it leaves open from
  more digits."""
  far: float | None = None
  fields: list[int | None] = [None for _ in eps]
  try:
    quick = finite_sum.Floats(root, n)
    far, fields = far_share(quick, train), [field(quick, e) for e in eps]
    if far is not None and None not in fields:
      return far, fields, None
  except NotProved:
    if n > finite_sum.MOST:
      raise
  try:
    exact = finite_sum.Exact(root, n)
  except NotProved as e:
    return far, fields, str(e)
  far = far_share(exact, train) if far is None else far
  fields = [
    field(exact, e, exact.decide) if j is None else j
    for j, e in zip(fields, eps, strict=True)
  ]
  note = None
  if None in fields or far is None:
    bits = ball.PRECISIONS[1]
    note = f'a comparison below {n} tokens is not settled by {bits} bits'
  return far, fields, note


def field(
  tails: trf_bounds.Tails, eps: Fraction, tie: Callable | None = None
) -> int | None:
  """n(eps) of finitely many weights; None where that is not proved."""
  decide = trf_bounds.decider(tails.beyond, eps, tie)
  bracket = trf_bounds.search(decide)
  return bracket.low if bracket.low == bracket.high else None


def far_share(tails: trf_bounds.Tails, train: int) -> float | None:
  """T_train / B to the digits that are proved."""
  with flint.ctx.workprec(ball.PRECISION):
    return digits(tails.beyond(train) / tails.beyond(0))


def digits(x: arb) -> float | None:
  """The number that both ends of a ball round to, with up to 12 digits."""
  if not x.is_finite():
    return None
  low, high = float(x.lower()), float(x.upper())
  if not (math.isfinite(low) and math.isfinite(high)):
    return None
  for digits in range(DIGITS, FEWEST - 1, -1):
    ends = {float(f'{e:.{digits - 1}e}') for e in (low, high)}
    if len(ends) == 1:
      return ends.pop() + 0.0  # -0.0 is 0
  return None


def exponent(root: Node, t: int) -> float | None:
  """-t b'(t), from a power series; a difference at a kink."""
  program = ball.Program(root)
  for bits in ball.PRECISIONS:
    with sums.precision(bits):
      try:
        jet = program(variable(arb(t), arb(t)), Jets)
        slope = jet.centre[1]
      except (NeedsSmallerBlock, ValueError):
        slope = (program.at(t + 1) - program.at(t - 1)) / 2
      out = digits(-t * slope)
    if out is not None:
      return out
  return None
