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
from extrapolation.theory.bracket import decider, search
from extrapolation.theory.enclosures import ball, finite_sum, sums
from extrapolation.theory.enclosures.taylor_model import Jets, variable
from extrapolation.theory.errors import (
  NeedsSmallerBlock,
  NotProved,
  UndefinedTotal,
)
from extrapolation.theory.expression import float_intervals
from extrapolation.theory.expression.graph import Node

LONGEST = 10**7  # tokens of a horizon
DIGITS = 12  # of a printed number, or as many as are proved
FEWEST = 4
REACH = 'trained', 'at_train', 'at_end'  # B_L at L - 1, B_n at L and n - 1


@dataclasses.dataclass(frozen=True)
class Horizon:
  """What distances below n show, whatever happens beyond.

  Every number is proved: an integer is the one, a real number is rounded to
  digits that are all right. What could not be proved is None.

  Attributes:
    n: the horizon in tokens.
    exponent: local exponent -t b'(t) at t = n: the p of t^-p there.
    far_mass: F_n, share of the weight below n that lies at or beyond `train`.
    mean: of F_i over i = 1 .. n, what windows of n tokens score.
    trf: n(eps) of the weights below n, for each eps; None without a total.
    reach: nats, see `reaches`; None is infinite as well.
    doubled: whether B_n >= 2 B_train is possible.
    note: why something is None.
  """

  n: int
  exponent: float | None
  far_mass: float | None = None
  mean: float | None = None
  trf: list[int | None] | None = None
  reach: dict[str, float | None] = dataclasses.field(
    default_factory=lambda: dict.fromkeys(REACH)
  )
  doubled: bool = True
  note: str | None = None


def log_weights(
  root: Node, t: Float[np.ndarray, ' d']
) -> Float[np.ndarray, ' d']:
  """b(t) in float64, to draw; NaN where the formula has no value."""
  return float_intervals.log_weights(root, t, rounded=False)[0]


def horizon(
  root: Node, n: int, train: int, eps: Sequence[str | float | Fraction]
) -> Horizon:
  """The horizon form of a receptive field, and of far mass."""
  if not 1 <= n <= LONGEST:
    raise ValueError(f'horizon = {n}: 1 to {LONGEST} tokens can be summed')
  shares = [trf_bounds.share(e) for e in eps]
  root = finite_sum.without_constant(root)
  out = Horizon(n, exponent(root, n))
  for reading in (finite_sum.Floats, finite_sum.Exact):
    try:
      sums = reading(root, n)
    except UndefinedTotal as e:
      return Horizon(n, out.exponent, note=str(e))
    except NotProved as e:
      out = dataclasses.replace(out, note=out.note or str(e))
      continue
    if isinstance(sums, finite_sum.Floats):
      low, high = sums.prefix()
      out = dataclasses.replace(
        out,
        mean=digits(mean(sums, train)),
        reach=reaches(root, sums, train),
        doubled=n <= train or bool(high[n] >= 2 * low[train]),
      )
    far, fields = out.far_mass, out.trf or [None for _ in shares]
    tie = getattr(sums, 'decide', None)
    out = dataclasses.replace(
      out,
      note=None,
      far_mass=far_share(sums, train) if far is None else far,
      trf=[
        j or field(sums, e, tie) for j, e in zip(fields, shares, strict=True)
      ],
    )
    if None not in (out.far_mass, *(out.trf or ())):
      return out
  unsettled = (
    f'a comparison below {n} tokens is not settled by {ball.PRECISIONS[1]} bits'
  )
  return dataclasses.replace(out, note=out.note or unsettled)


def field(
  tails: trf_bounds.Tails, eps: Fraction, tie: Callable | None = None
) -> int | None:
  """n(eps) of finitely many weights; None where that is not proved."""
  decide = decider(tails.beyond, eps, tie)
  bracket = search(decide)
  return bracket.low if bracket.low == bracket.high else None


def far_share(tails: trf_bounds.Tails, train: int) -> float | None:
  """T_train / B to the digits that are proved."""
  with flint.ctx.workprec(ball.PRECISION):
    return digits(tails.beyond(train) / tails.beyond(0))


def mean(sums: finite_sum.Floats, train: int) -> arb:
  """Encloses the mean of F_i = T_{L,i} / B_i over i = 1 .. n; F_i = 0 to L."""
  n = len(sums.weights[0])
  if n <= train:
    return arb(0)
  far, all_ = sums.prefix(train), sums.prefix()
  with np.errstate(divide='ignore', invalid='ignore'):
    low = np.fmax(far[0] / all_[1][train:], 0).sum() / n
    high = np.fmin(far[1] / all_[0][train:], 1).sum() / n
  slack = 2 * n * np.finfo(float).eps  # of quotients and sums, all >= 0
  return arb(float(low * (1 - slack))).union(arb(float(high * (1 + slack))))


def reaches(
  root: Node, sums: finite_sum.Floats, train: int
) -> dict[str, float | None]:
  """Delta_i(t) = ln B_i - b(t) in nats, by the names of REACH.

  A key at distance t holds half of the weight of i keys if its logit exceeds
  the others' by ln(B_i - w(t)) - b(t), which is at most that.
  """
  low, high = sums.prefix()
  n, program = len(low) - 1, ball.Program(root)

  def delta(i: int, t: int) -> float | None:
    if not 0 <= t < i <= n:
      return None
    with flint.ctx.workprec(ball.PRECISION):
      total = arb(float(low[i])).union(arb(float(high[i])))
      return digits(sums.top + total.log() - program.at(t))

  pairs = (train, train - 1), (n, train), (n, n - 1)
  return {k: delta(*at) for k, at in zip(REACH, pairs, strict=True)}


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
