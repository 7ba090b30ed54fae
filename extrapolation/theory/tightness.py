"""Tightness: does one window do for every query?

Attention is *tight* if for each eps there is one window of w keys that leaves
out at most eps of the mass at every query of every text, for all logits in
[-M, M]. Without clock, heat and score that is so iff the sum of weights
converges; docs/theory.md, theorems 8 to 15, has what holds with them.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from extrapolation.theory import (
  clock_transfer,
  convergence,
  heated,
  limits,
  scored,
)
from extrapolation.theory.attended import Head
from extrapolation.theory.limits import ZERO
from extrapolation.theory.verdicts import (
  IF,
  NOT,
  NOT_JUDGED,
  TIGHT,
  UNKNOWN,
  Tightness,
  of_sum,
  unknown,
)


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
  if not head.score.is_plain:
    return _scored(head, M, eps or {})
  if head.is_index and head.is_one:
    return of_sum(convergence.judge(head.b))
  at = limits.at_infinity(head.b)
  if head.b.op == 'const':
    return _alike('b is constant')
  if not head.is_index and head.rates.high == 0:
    return _alike('the clock stands still, so that every distance is 0')
  if not head.is_index and head.rates.high is None:
    return unknown('how fast the clock runs: its file has no pace')
  if not head.is_index and not limits.own_weight_is_positive(head.b):
    return unknown('on a clock, a weight above 0 of the query itself')
  if at.kind == ZERO and head.advances:
    return hard(head)
  if head.whole and not head.is_one:
    return heated.whole(head, at, M)
  return heated.content(head, at, M, clock_transfer.clocked(head, eps or {}))


def _scored(
  head: Head, M: float | None, eps: Mapping[str, Fraction]
) -> Tightness:
  """The verdict on a head whose logits are more than q.k and a kernel."""
  assert head.b is not None
  if limits.at_infinity(head.b).kind == ZERO and head.advances:
    return hard(head)
  if head.score.decay is not None:
    return scored.decaying(head, M, eps)
  if not head.softmax:
    return unknown('what the weights sum to: its file has no decay')
  if head.score.bounded:
    return scored.bounded(head)
  if (plain := scored.unmixed(head)) is not None:
    return scored.mixed(head, judge(plain))
  return unknown(scored.why_not(head))


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


def _alike(why: str) -> Tightness:
  """The verdict where distance makes no difference between keys."""
  return Tightness(
    NOT, None, f'{why}: n keys of equal logits have 1/n of the mass each'
  )


def hard(head: Head) -> Tightness:
  """Weights exactly 0 beyond some distance (theorem 8, theorem 7)."""
  why = 'the weights are exactly 0 beyond some distance'
  if not head.is_index:
    why += ', which the clock passes after a bounded number of keys'
  return Tightness(TIGHT, None, f'{why}, whatever scales the logits')
