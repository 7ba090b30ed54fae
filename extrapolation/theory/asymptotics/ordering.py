r"""Comparison of monomials, and bounds on [T, inf).

Two functions built from constants, t, arithmetic, exp and log are comparable
in the end (Hardy); comparing the logarithms of monomials term by term does it.
"""

import functools
import time
from collections.abc import Iterable, Sequence
from typing import Any

import flint

from extrapolation.theory.asymptotics import sign_oracle
from extrapolation.theory.asymptotics.monomial import (
  ONE,
  Expansion,
  Monomial,
  level,
  over,
  times,
)
from extrapolation.theory.asymptotics.sign_oracle import Expr, Oracle, canonical
from extrapolation.theory.errors import NeedsPrecision

Term = tuple[Expr, Monomial]  # coefficient, monomial


class Ordering:
  """Order of monomials and sums of their multiples.

  Args:
    signs: the oracle.
    size: terms kept.
    threshold: None, or T as a ball: remainders are then bounds on [T, inf).
    deadline: `time.thread_time()` at which to give up.
  """

  def __init__(
    self,
    signs: Oracle,
    size: int = 6,
    threshold: flint.arb | None = None,
    deadline: float | None = None,
  ):
    self.signs, self.size, self.deadline = signs, size, deadline
    self.T: Any = threshold
    self._compared, self._ratios, self._values = {}, {}, {}

  def tick(self):
    """Counts a step; raises TimeoutError past the deadline."""
    if self.deadline and time.thread_time() > self.deadline:
      raise TimeoutError

  # Monomials.

  def compare(self, a: Monomial, b: Monomial) -> int:
    """Sign of ln(a / b) for large t: 1 if a outgrows b, 0 if they are equal."""
    if a == b:
      return 0
    key = (a, b)
    if key not in self._compared:
      self.tick()
      self._compared[key] = self._growth(over(a, b))
    return self._compared[key]

  def _growth(self, q: Monomial) -> int:
    """Sign of ln q for large t."""
    if not q.exps:  # powers of t, ln t, ...: the first one decides
      signs = (self.signs.sign(a) for a in q.logs)
      return next((s for s in signs if s), 0)
    terms = self.collect_exact([(c, g) for g, c in self.log_terms(q)])
    return self.signs.sign(terms[0][0]) if terms else 0

  def log_terms(self, m: Monomial) -> list:
    """ln m = sum c g, as pairs (g, c), unsorted."""
    out = [(level(k + 1), a) for k, a in enumerate(m.logs) if a != 0]
    return out + list(m.exps)

  def sort(self, terms: Sequence[Term]) -> list[Term]:
    """Terms with the largest monomial first."""
    key = functools.cmp_to_key(lambda x, y: -self.compare(x[1], y[1]))
    return sorted(terms, key=key)

  def collect(
    self, terms: Sequence[Term], rests: Iterable = (), led: bool = True
  ) -> Expansion:
    """Adds terms (coefficient, monomial) and remainders (bound, monomial).

    Of the coefficients that are left the first is no 0, if it is to be `led`;
    others may be, unseen.
    """
    merged = []
    for c, m in self.sort(terms):
      if merged and self.compare(merged[-1][1], m) == 0:
        merged[-1] = (canonical(merged[-1][0] + c), m)
      else:
        merged.append((c, m))
    merged = [(c, m) for c, m in merged if c != 0]
    merged = self.led(merged) if led else merged
    rests, count = list(rests), len(merged)
    if rests:
      top = self._largest(m for _, m in rests)
      count = sum(self.compare(m, top) > 0 for _, m in merged)
    count = min(count, self.size)
    rests += [(self.size_of(c), m) for c, m in merged[count:]]
    merged = tuple(merged[:count])
    if not rests:
      return Expansion(merged)
    top = self._largest(m for _, m in rests)
    err = None
    if self.T is not None:
      err = sum((b * self.ratio(m, top) for b, m in rests), flint.arb(0))
    return Expansion(merged, top, err)

  def _largest(self, items: Iterable[Monomial]) -> Monomial:
    return functools.reduce(
      lambda x, y: y if self.compare(y, x) > 0 else x, items
    )

  def led(self, terms: Sequence[Term]) -> Sequence[Term]:
    """Terms without the first ones whose coefficients are 0."""
    while terms and not self.signs.sign(terms[0][0]):
      terms = terms[1:]
    return terms

  def size_of(self, c: Expr) -> flint.arb | None:
    """Upper bound of |c| (only with a threshold)."""
    return None if self.T is None else abs(sign_oracle.ball(c))

  def rests(self, *series: Expansion) -> list:
    """The remainders of expansions, as pairs (bound, monomial)."""
    return [(s.err, s.rest) for s in series if s.rest is not None]

  # Bounds on [T, inf).

  def at(self, m: Monomial) -> flint.arb:
    """Value at T."""
    if m not in self._values:
      out, x = flint.arb(1), self.T
      for a in m.logs:
        if not x > 0:
          raise NeedsPrecision('threshold below the iterated logarithm')
        if a != 0:
          out *= x ** sign_oracle.ball(a)
        x = x.log()
      for g, c in m.exps:
        out *= (self.at(g) * sign_oracle.ball(c)).exp()
      self._values[m] = out
    return self._values[m]

  def ratio(self, m: Monomial, top: Monomial) -> flint.arb:
    """sup over t >= T of m / top, proved by its decrease from T on."""
    if self.compare(m, top) == 0:
      return flint.arb(1)
    q = over(m, top)
    if q not in self._ratios:
      self._ratios[q] = None  # a cycle in the argument proves nothing
      if not self.decreasing(q):
        raise NeedsPrecision('a ratio of monomials does not decrease yet')
      self._ratios[q] = self.at(q)
    if self._ratios[q] is None:
      raise NeedsPrecision('no proof that a ratio of monomials decreases')
    return self._ratios[q]

  def decreasing(self, m: Monomial) -> bool:
    """Whether m decreases on [T, inf): the leading term of its rate is
    negative and outweighs the others from T on."""
    (c, top), *others = self.rate(m)
    others = (abs(sign_oracle.ball(a)) * self.ratio(n, top) for a, n in others)
    return sign_oracle.ball(c) + sum(others, flint.arb(0)) <= 0

  def rate(self, m: Monomial) -> list:
    """t d/dt ln m as terms (coefficient, monomial), decreasing."""
    terms, chain = [], ONE
    for k, a in enumerate(m.logs):
      if a != 0:
        terms.append((a, chain))
      chain = over(chain, level(k + 1))
    for g, c in m.exps:
      terms += [(canonical(c * b), times(g, h)) for b, h in self.rate(g)]
    return self.collect_exact(terms)

  def collect_exact(self, terms: Sequence[Term]) -> list[Term]:
    """Terms added, with none dropped."""
    size, self.size = self.size, 10**6
    try:
      return list(self.collect(terms).terms)
    finally:
      self.size = size

  def extremum(self, terms: Sequence[Term], lower: bool = True) -> flint.arb:
    """A bound below (or above) on [T, inf) of an exact sum of terms.

    The leading monomial is factored out; the others are at most their ratio
    at T, and the leading one at least (at most) its value there or its limit.
    """
    if not terms:
      return flint.arb(0)
    (c0, m0), *others = terms
    spread = sum(
      (abs(sign_oracle.ball(c)) * self.ratio(m, m0) for c, m in others),
      flint.arb(0),
    )
    c0 = sign_oracle.ball(c0)
    c = (c0 - spread).lower() if lower else (c0 + spread).upper()
    order = self.compare(m0, ONE)
    if order == 0:
      return c
    growing = order > 0
    if growing:
      self.ratio(ONE, m0)  # proves monotone growth from T on
    else:
      self.ratio(m0, ONE)
    favourable = c >= 0 if lower else c <= 0
    if growing == favourable:
      return c * self.at(m0)
    if growing:
      return flint.arb.neg_inf() if lower else flint.arb.pos_inf()
    return flint.arb(0)

  def slack(self, x: Expansion) -> flint.arb:
    """Bound of the remainder on [T, inf)."""
    if x.rest is None:
      return flint.arb(0)
    return (x.err * self.ratio(x.rest, ONE)).upper()

  def supremum(self, x: Expansion) -> flint.arb:
    """Bound of |x| / (its leading monomial) on [T, inf)."""
    if not x.terms and x.exact:
      return flint.arb(0)
    top = x.top
    total = sum(
      (abs(sign_oracle.ball(c)) * self.ratio(m, top) for c, m in x.terms),
      flint.arb(0),
    )
    if x.rest is not None:
      total += x.err * self.ratio(x.rest, top)
    return total
