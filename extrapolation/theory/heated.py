"""Tightness under a heat: theorems 10, 11 and 19 of docs/theory.md."""

import dataclasses

from extrapolation.theory import convergence, limits
from extrapolation.theory.attended import Head
from extrapolation.theory.enclosures import closed_form
from extrapolation.theory.limits import BOUNDED, FALLS
from extrapolation.theory.verdicts import (
  IF,
  NOT,
  TIGHT,
  UNKNOWN,
  Tightness,
  unknown,
)

SLACK = 1e-6  # of a bound of M


def content(
  head: Head,
  at: limits.Limit,
  M: float | None,
  cold: Tightness,
  line: bool = True,
) -> Tightness:
  """Heat of q.k alone, on what holds without it (theorems 7 and 10).

  line: where it says how fast a window would have to grow.
  """
  if head.is_one or cold.verdict in (NOT, UNKNOWN):
    return cold
  c = head.rates.heat
  if c == 0 or M == 0:
    why = 'logits are 0' if M == 0 else 'a bounded heat multiplies the mass ' \
      'of far keys by a bounded factor'  # fmt: skip
    return dataclasses.replace(cold, argument=f'{why}; {cold.argument}')
  if c is None:
    return unknown('how the heat grows with the index: its file has no rate')
  if not at.positive:
    return unknown('whether far keys have weights above 0')
  i = 'i' if line else 'n'
  why = (
    f'content heat: with s_{i} ~ c ln {i} far keys gain a factor up to '
    f'{i}^(2 c M), so no window does for every query once M > 0'
  )
  if line:
    why += (
      f'; it has to grow until the tail is below i^(-2 c M), {_growth(head, c)}'
    )
  return Tightness(NOT, None, why)


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
  margin = convergence.judge(head.b).margin
  if margin is not None and margin.is_number and margin > 0:
    p = float(margin)
    return f'w = i^(2 c M / {p:.6g}), less than i only if M < {p / 2 / c:.6g}'
  return value


def whole(
  head: Head, at: limits.Limit, M: float | None, line: bool = True
) -> Tightness:
  """Heat of the bias too (theorem 11, and 19 of other spaces than a line)."""
  assert head.b is not None
  c = head.rates.heat
  if not head.advances:
    return unknown('whether the clock may stand still: a pace above 0')
  if c is None:
    return unknown('how the heat grows with the index: its file has no rate')
  if c == 0:
    return unknown('heated biases want the bounds of a heat that is bounded')
  i = 'i' if line else 'n'
  falls = (
    f'whole heat: {i} exp(-s_{i} g) -> 0 for every g > 1 / c, s_{i} ~ c ln {i},'
    ' and b falls below b(0) by any g beyond some distance'
  )
  if at.kind == FALLS:
    return Tightness(TIGHT, None, falls)
  rule = 'c (g - 2 M) > 1, g the largest bias less that of far keys'
  if at.condition:
    return Tightness(
      IF, at.condition, f'{falls}; elsewhere b has a limit, and {rule} decides'
    )
  if at.kind != BOUNDED:
    return unknown('what the bias does at large distances')
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
  return unknown(f'on which side of its border it is: {text}')
