"""Tightness on a clock: theorems 8 and 9 of docs/theory.md."""

import math
from collections.abc import Mapping
from fractions import Fraction

import flint

from extrapolation.theory import convergence, limits
from extrapolation.theory.attended import Head
from extrapolation.theory.bracket import decider, search
from extrapolation.theory.enclosures import closed_form
from extrapolation.theory.enclosures.ball import number
from extrapolation.theory.verdicts import (
  IF,
  NOT,
  OF_SUM,
  OUTWARD,
  Tightness,
  of_sum,
  unknown,
)


def clocked(head: Head, eps: Mapping[str, Fraction]) -> Tightness:
  """Clock transfer: theorems 8 and 9; no heat yet."""
  assert head.b is not None
  if head.is_index:
    return of_sum(convergence.judge(head.b))
  verdict = limits.monotone_verdict(head.b)
  if verdict.verdict == 'unknown':
    return unknown(
      f'on a clock, bounds that are monotone in the end ({verdict.argument})'
    )
  sum_ = f'sum exp b(n) {verdict.verdict}: {verdict.argument}'
  low, high = head.rates.low, head.rates.high
  if verdict.verdict == 'diverges':
    paced = low is not None and low > 0 and high is not None and high < math.inf
    if not (paced or head.positive or head.stationary):
      return unknown('a text of which the clock has a finite pace above 0')
    return Tightness(
      NOT,
      None,
      f'clock transfer: {sum_}; so does sum exp b(p_i - p_j) for text of '
      'which the clock has a finite pace',
    )
  word, condition = OF_SUM[verdict.verdict], verdict.condition
  if low is not None and low > 0:
    a = low * (1 - OUTWARD)
    if not head.clock_valued:
      pace = 'p_i - p_j >= a (i - j), a > 0'
      return Tightness(word, condition, f'clock transfer: {pace}, and {sum_}')
    pace = f'{low:.6g} (i - j) <= p_i - p_j <= {high:.6g} (i - j)'
    argument = f'clock transfer: {pace} for every text, and {sum_}'
    more, windows = _windows(head, a, eps)
    return Tightness(word, condition, argument + more, windows)
  if head.positive:
    return Tightness(
      word, condition, f'clock transfer: {sum_}. {_levels(head)}'
    )
  if head.stationary:
    both = ' and '.join(filter(None, (condition, head.stationary)))
    return Tightness(
      IF,
      both,
      f'clock transfer: in probability, p_i - p_j grows like a multiple of '
      f'i - j, and {sum_}; the clock may stand still, so no window does for '
      'every text',
    )
  return unknown('whether the clock may stand still: a pace above 0')


def _levels(head: Head) -> str:
  assert head.b is not None
  mean = ''
  if isinstance(closed_form.recognise(head.b), closed_form.Geometric):
    mean = ' In the mean over independent gates f = exp b(p_i - p_(i-1)), ' \
      'E sum = 1 / (1 - E f).'  # fmt: skip
  return (
    f'Almost surely for {head.stationary}.{mean} Uniformly: the norm bounds '
    'the content, and so the pace from below by an a > 0 that the weights '
    'decide; --workdir=RUN gives it'
  )


def _windows(
  head: Head, a: float, eps: Mapping[str, Fraction]
) -> tuple[str, dict[str, int]]:
  """Windows for every text, of kernels in closed form (theorem 9)."""
  assert head.b is not None
  form = closed_form.recognise(head.b)
  if isinstance(form, closed_form.Geometric):
    rate = form.rate * Fraction(a)
    windows = {e: _geometric(rate, share) for e, share in eps.items()}
    text = f'; TRF(eps) <= 1 + ln(1/eps) / {float(rate):.6g}'
    return text, windows
  if isinstance(form, closed_form.Zeta):
    slow = closed_form.Zeta(form.power, form.shift / Fraction(a))
    windows = {e: _zeta(slow, share) for e, share in eps.items()}
    return '; windows: T_w of b(a t) <= eps exp b(0)', {
      e: w for e, w in windows.items() if w is not None
    }
  return '', {}


def _geometric(rate: Fraction, eps: Fraction) -> int:
  """The smallest w with exp(-rate w) < eps."""
  with flint.ctx.workprec(128):
    at_most = (-number(eps).log() / number(rate)).upper()
    whole = at_most.floor().unique_fmpz()
  assert whole is not None, 'the end of a ball is exact'
  return int(whole) + 1


def _zeta(form: closed_form.Zeta, eps: Fraction) -> int | None:
  """The smallest w with T_w <= eps times the weight of the own key."""

  def beyond(j: int, bits: int = 0) -> flint.arb:
    if j:
      return form.beyond(j, bits)
    with flint.ctx.workprec(96 + 2 * bits):
      return number(form.shift) ** -number(form.power)

  return search(decider(beyond, eps), max(form.guess(eps), 1)).high
