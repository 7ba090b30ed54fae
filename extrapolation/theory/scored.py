"""Tightness under a score: theorems 13 to 15 of docs/theory.md."""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction

from extrapolation.theory import mixture
from extrapolation.theory.attended import SUM, Head
from extrapolation.theory.verdicts import (
  NOT,
  OUTWARD,
  TIGHT,
  Tightness,
  unknown,
)

GROWN = 1e6  # logits as large as no text stops a heat from making them
VANISHED = 1e-9


def bounded(head: Head) -> Tightness:
  """A logit that stays near q.k, whatever the distance (theorem 13)."""
  c = head.rates.heat
  if head.whole and not head.is_one:
    if c is None:
      return unknown('how the heat grows with the index: its file has no rate')
    if c > 0:
      return unknown(
        'under a heat of the whole logit, by how much the score of near keys '
        'exceeds that of all others'
      )
  where = '' if head.is_one else ', where q is 0 or the heat 1'
  return Tightness(
    NOT,
    None,
    'bounded score: |logit - q.k| <= B, so the nearest w of n keys have at '
    f'most w exp(2 (M + B)) / n of the mass{where}',
  )


def decaying(
  head: Head, M: float | None, eps: Mapping[str, Fraction]
) -> Tightness:
  """Weights that near keys use up (theorem 14)."""
  decay, c = head.score.decay, head.rates.heat
  assert decay is not None
  if head.whole and not head.is_one:
    return unknown(
      'a heat of the whole logit, where no softmax divides the weights: take '
      'whole=false'
    )
  size = M or 0.0
  a = float(decay(size)) * (1 - OUTWARD)
  bound = 'keys more than m tokens back weigh at most exp(-a m) together'
  if c is None and size > 0:
    return unknown('how the heat grows with the index: its file has no rate')
  if head.is_one or M == 0:
    at = '' if M is not None else 'for each M: '
    shown = f'{at}{bound}, a(M) = {a:.6g} where M = {size:g}'
    windows = {e: window(a, share) for e, share in eps.items()}
    return Tightness(
      TIGHT, None, f'{shown}; TRF(eps) <= 1 + ln(1/eps) / a(M)', windows
    )
  if c == 0:
    return Tightness(
      TIGHT, None, f'{bound}, a = a(s M) for a heat of at most s'
    )
  if c is None or decay(GROWN) > VANISHED:
    return unknown('how the heat grows with the index: its file has no rate')
  return Tightness(
    NOT,
    None,
    f'content heat: with s_i ~ c ln i, {bound} with a = a(s_i M), which tends '
    'to 0, and some logits attain it, so no window does for every query once '
    f'M > 0; w = 1 + ln(1/eps) / a(c M ln i) does at query i, c = {c:.6g}',
  )


def window(a: float, eps: Fraction) -> int:
  """Keys, the query's own among them: least w, exp(-a (w - 1)) <= eps."""
  return 1 + math.ceil(-math.log(eps) / a * (1 + 1e-12))


def unmixed(head: Head) -> Head | None:
  """The head of q.k and a kernel that has the same verdict (theorem 15).

  None where none is known: `head.why_not_mixed`.
  """
  if head.mixed is None or _grows(head) or _at_border(head):
    return None
  return dataclasses.replace(head, b=head.mixed.b, score=SUM, mixed=None)


def mixed(head: Head, said: Tightness) -> Tightness:
  """What is said of `unmixed(head)`, of the head itself."""
  assert head.mixed is not None
  _, kappa, g = head.mixed
  if said.condition is not None and 'M' in said.condition:
    return unknown(f'the border of M, where heads are mixed ({said.argument})')
  return Tightness(
    said.verdict,
    said.condition,
    f'mixed heads: logit = q.k - kappa g + O(1), kappa = {kappa:.6g}, g = {g}; '
    + said.argument,
  )


def why_not(head: Head) -> str:
  """What is missing of a head that is neither bounded nor decays."""
  if head.mixed is None:
    return head.why_not_mixed
  if _grows(head):
    return 'how heads are mixed under a heat of q.k that grows'
  _, kappa, g = head.mixed
  return f'on which side of its border it is: kappa = {kappa:.6g}, g = {g}'


def _grows(head: Head) -> bool:
  """Whether a heat of q.k alone may grow: q.k is mixed as well then."""
  return not (head.is_one or head.whole or head.rates.heat == 0)


def _at_border(head: Head) -> bool:
  """Whether float32 does not tell if kappa is above what decides."""
  assert head.mixed is not None
  kappa, borders = head.mixed.kappa, [0] + [1] * (head.mixed.g == mixture.LOG)
  return kappa != 0 and any(abs(kappa - x) < OUTWARD for x in borders)
