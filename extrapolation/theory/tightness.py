r"""Tightness: does one window do for every query?

Attention is *tight* if for each eps there is one window of w keys that leaves
out at most eps of the mass at every query of every text, for all logits in
[-M, M]. Without clock and heat that is so iff the sum of weights converges;
docs/theory.md, theorems 8 to 12, has what holds with them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import flint

from extrapolation.theory import convergence, limits
from extrapolation.theory.attended import Head
from extrapolation.theory.bracket import decider, search
from extrapolation.theory.convergence import Verdict
from extrapolation.theory.enclosures import closed_form
from extrapolation.theory.enclosures.ball import number
from extrapolation.theory.limits import BOUNDED, FALLS, ZERO

TIGHT, NOT, IF, UNKNOWN = 'tight', 'not tight', 'conditional', 'unknown'
NOT_JUDGED = 'not judged'
OF_SUM = dict(converges=TIGHT, diverges=NOT, conditional=IF, unknown=UNKNOWN)
OUTWARD = 1e-5  # of rates, which are computed in float32
SLACK = 1e-6  # of a bound of M


@dataclasses.dataclass(frozen=True)
class Tightness:
  """What is known of one head, or of several together.

  Attributes:
    verdict: 'tight', 'not tight', 'conditional', 'unknown' or 'not judged'.
    condition: of 'conditional'.
    argument: the theorem with what it was applied to, or what was missing.
    window: by eps, keys that leave out at most eps of the mass at every query
      where logits say nothing; {} where none is computed.
  """

  verdict: str
  condition: str | None
  argument: str
  window: Mapping[str, int] = dataclasses.field(default_factory=dict)


def of_sum(verdict: Verdict) -> Tightness:
  """Without clock and heat: a convergent sum, and nothing else."""
  word = OF_SUM.get(verdict.verdict, verdict.verdict)
  return Tightness(word, verdict.condition, verdict.argument)


def judge(
  head: Head,
  M: float | None = None,
  eps: Mapping[str, Fraction] | None = None,
) -> Tightness:
  """The verdict on one head.

  Args:
    M: a bound of |q.k| / sqrt(K); None: for each M, and a condition on it
      where it decides.
    eps: shares for which a window is wanted.

  Raises:
    UndefinedWeight: the weight is not a real number at large distances.
  """
  if head.b is None:
    return Tightness(NOT_JUDGED, None, head.why_not)
  if head.is_index and head.is_one:
    return of_sum(_sum(head))
  at = limits.at_infinity(head.b)
  if head.b.op == 'const' or (not head.is_index and head.rates.high == 0):
    why = (
      'b is constant'
      if head.b.op == 'const'
      else 'the clock stands still, so that every distance is 0'
    )
    return Tightness(
      NOT, None, f'{why}: n keys of equal logits have 1/n of the mass each'
    )
  if not head.is_index and head.rates.high is None:
    return _unknown('how fast the clock runs: its file has no pace')
  if not head.is_index and not limits.counts_itself(head.b):
    return _unknown('on a clock, a weight above 0 of the query itself')
  if at.kind == ZERO and head.runs:
    return _hard(head)
  if head.whole and not head.is_one:
    return _whole(head, at, M)
  return _content(head, at, M, _clocked(head, eps or {}))


def composed(heads: Sequence[Head], said: Sequence[Tightness]) -> Tightness:
  """The verdict on all heads of all layers together (theorem 12)."""
  for word in (NOT, UNKNOWN, NOT_JUDGED):
    for head, one in zip(heads, said, strict=True):
      if one.verdict == word:
        return Tightness(
          word,
          None,
          f'layer {head.layer}, {head.text}: {one.verdict}; a window in all '
          'heads of all layers takes that each of them is tight',
        )
  conditions = dict.fromkeys(x.condition for x in said if x.condition)
  if conditions:
    both = ' and '.join(map(str, conditions))
    return Tightness(IF, both, 'tight where each of its heads is')
  return Tightness(
    TIGHT,
    None,
    'every head of every layer is tight, so windows in all of them move no '
    'output by more than one likes',
  )


def _sum(head: Head) -> Verdict:
  assert head.b is not None
  return convergence.judge(head.b)


def _unknown(missing: str) -> Tightness:
  return Tightness(UNKNOWN, None, f'not known: {missing}')


def _hard(head: Head) -> Tightness:
  """Weights exactly 0 beyond some distance (theorem 8, theorem 7)."""
  why = 'the weights are exactly 0 beyond some distance'
  if not head.is_index:
    why += ', which the clock passes after a bounded number of keys'
  return Tightness(TIGHT, None, f'{why}, whatever scales the logits')


def _clocked(head: Head, eps: Mapping[str, Fraction]) -> Tightness:
  """Clock transfer: theorems 8 and 9; no heat yet."""
  assert head.b is not None
  if head.is_index:
    return of_sum(_sum(head))
  verdict = limits.monotone_verdict(head.b)
  if verdict.verdict == 'unknown':
    return _unknown(
      f'on a clock, bounds that are monotone in the end ({verdict.argument})'
    )
  sum_ = f'sum exp b(n) {verdict.verdict}: {verdict.argument}'
  low, high = head.rates.low, head.rates.high
  if verdict.verdict == 'diverges':
    paced = low is not None and low > 0 and high is not None and high < math.inf
    if not (paced or head.positive or head.stationary):
      return _unknown('a text of which the clock has a finite pace above 0')
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
  return _unknown('whether the clock may stand still: a pace above 0')


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


def _content(
  head: Head, at: limits.Limit, M: float | None, cold: Tightness
) -> Tightness:
  """Heat of q.k alone, on what holds without it (theorems 7 and 10)."""
  if head.is_one or cold.verdict in (NOT, UNKNOWN):
    return cold
  c = head.rates.heat
  if c == 0 or M == 0:
    why = 'logits are 0' if M == 0 else 'a bounded heat multiplies the mass ' \
      'of far keys by a bounded factor'  # fmt: skip
    return dataclasses.replace(cold, argument=f'{why}; {cold.argument}')
  if c is None:
    return _unknown('how the heat grows with the index: its file has no rate')
  if not at.positive:
    return _unknown('whether far keys have weights above 0')
  return Tightness(
    NOT,
    None,
    'content heat: with s_i ~ c ln i far keys gain a factor up to i^(2 c M), '
    'so no window does for every query once M > 0; it has to grow until the '
    f'tail is below i^(-2 c M), {_growth(head, c)}',
  )


def _growth(head: Head, c: float) -> str:
  """How fast the window must grow, by theorem 10."""
  assert head.b is not None
  pace = head.rates.low if head.clock_valued else None
  form = closed_form.recognise(head.b)
  value = f'c = {c:.6g}' if head.heat_valued else f'c = {c:.6g} before training'
  if isinstance(form, closed_form.Geometric) and pace:
    slope = float(form.rate) * pace
    return f'w = (2 c M / {slope:.6g}) ln i, {value}'
  if not head.is_index:
    return value
  margin = _sum(head).margin
  if margin is not None and margin.is_number and margin > 0:
    p = float(margin)
    return f'w = i^(2 c M / {p:.6g}), less than i only if M < {p / 2 / c:.6g}'
  return value


def _whole(head: Head, at: limits.Limit, M: float | None) -> Tightness:
  """Heat of the bias too (theorem 11)."""
  assert head.b is not None
  c = head.rates.heat
  if not head.runs:
    return _unknown('whether the clock may stand still: a pace above 0')
  if c is None:
    return _unknown('how the heat grows with the index: its file has no rate')
  if c == 0:
    return _unknown('heated biases want the bounds of a heat that is bounded')
  falls = (
    'whole heat: i exp(-s_i g) -> 0 for every g > 1 / c, s_i ~ c ln i, and b '
    'falls below b(0) by any g beyond some distance'
  )
  if at.kind == FALLS:
    return Tightness(TIGHT, None, falls)
  rule = 'c (g - 2 M) > 1, g the largest bias less that of far keys'
  if at.condition:
    return Tightness(
      IF, at.condition, f'{falls}; elsewhere b has a limit, and {rule} decides'
    )
  if at.kind != BOUNDED:
    return _unknown('what the bias does at large distances')
  g = limits.gap(head.b, at)
  if g is not None and g[1] <= 0:
    return Tightness(
      NOT, None, 'whole heat: no key has a larger bias than those far away'
    )
  if g is None or not head.is_index or not head.heat_valued:
    return Tightness(IF, rule, f'whole heat on a bounded bias: {rule}')
  return _bounded_gap(g, c, M)


def _bounded_gap(
  g: tuple[float, float], c: float, M: float | None
) -> Tightness:
  """c (g - 2 M) > 1, for g between two numbers."""
  most = [(x - 1 / c) / 2 for x in g]  # of M
  most = [most[0] - SLACK, most[1] + SLACK]
  text = f'whole heat: tight iff c (g - 2 M) > 1, c = {c:.6g}, ' + (
    f'g = {g[0]:.6g}'
    if g[1] - g[0] < SLACK
    else f'{g[0]:.6g} <= g <= {g[1]:.6g}'
  )
  if most[1] < 0 or (M is not None and M > most[1]):
    return Tightness(NOT, None, text)
  if M is not None and M < most[0]:
    return Tightness(TIGHT, None, text)
  if M is None and most[0] > 0 and most[1] - most[0] < 4 * SLACK:
    return Tightness(IF, f'M < {most[0]:.5g}', text)
  if M is None and most[0] > 0:
    return Tightness(IF, f'M < {most[0]:.5g} suffices', text)
  return _unknown(f'on which side of its border it is: {text}')
