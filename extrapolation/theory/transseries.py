r"""Asymptotic expansions on the log-exp scale, t -> infinity.

A monomial is t^a0 (ln t)^a1 (ln ln t)^a2 ... exp(sum c g), each g an infinite
monomial; a series is a finite sum of coefficient * monomial, largest first,
plus a remainder O(rest), or exact. Functions built from constants, t,
arithmetic, exp and log form a Hardy field: any two are comparable in the end,
and comparing leading monomials does it.

Sources: Hardy, Orders of Infinity, 1910; van der Hoeven, Transseries and Real
Differential Algebra, 2006, chapters 2 and 4.

With a threshold T (a large number) the remainder carries a constant: it is at
most err * rest at every t >= T. That turns an asymptotic statement into a
bound, which is what the tail of a receptive field needs.
"""

import dataclasses
import functools
import time

import flint
import sympy as sp

from extrapolation.theory import oracle
from extrapolation.theory.oracle import Undecided, Undefined

ZERO, UNIT = sp.Integer(0), sp.Integer(1)


class Imprecise(Exception):
  """More terms, or a larger threshold, are needed."""


@dataclasses.dataclass(frozen=True)
class Monomial:
  """prod_k l_k^logs[k] * exp(sum c g), l_0 = t, l_{k+1} = ln l_k."""

  logs: tuple = ()
  exps: tuple = ()  # pairs (monomial, coefficient)

  @functools.cached_property
  def depth(self) -> int:
    inner = max((g.depth for g, _ in self.exps), default=0)
    return max(len(self.logs), inner)


ONE = Monomial()


def level(k: int) -> Monomial:
  """l_k: t, ln t, ln ln t, ..."""
  return Monomial((ZERO,) * k + (UNIT,))


def _trim(logs):
  logs = list(logs)
  while logs and logs[-1] == 0:
    logs.pop()
  return tuple(logs)


def times(a: Monomial, b: Monomial) -> Monomial:
  if a is ONE or b is ONE:
    return b if a is ONE else a
  n = max(len(a.logs), len(b.logs))
  pad = lambda x: x + (ZERO,) * (n - len(x))
  logs = (oracle.tidy(x + y) for x, y in zip(pad(a.logs), pad(b.logs)))
  exps = dict(a.exps)
  for g, c in b.exps:
    exps[g] = oracle.tidy(exps.get(g, ZERO) + c)
  return Monomial(_trim(logs), tuple((g, c) for g, c in exps.items() if c != 0))


def raised(m: Monomial, a: sp.Expr) -> Monomial:
  if a == 0:
    return ONE
  scale = lambda c: oracle.tidy(c * a)
  return Monomial(
    _trim(scale(c) for c in m.logs), tuple((g, scale(c)) for g, c in m.exps)
  )


def over(a: Monomial, b: Monomial) -> Monomial:
  return times(a, raised(b, sp.Integer(-1)))


@dataclasses.dataclass(frozen=True)
class Series:
  """sum of coefficient * monomial, decreasing, + O(rest); err: see module."""

  terms: tuple = ()
  rest: Monomial | None = None
  err: flint.arb | None = None

  @property
  def exact(self) -> bool:
    return self.rest is None


def monomial(m: Monomial, c=UNIT) -> Series:
  return Series(((c, m),)) if c != 0 else Series()


def constant(c) -> Series:
  return monomial(ONE, sp.sympify(c))


class Field:
  """Arithmetic of series to `size` terms, under an oracle for signs.

  Args:
    signs: the oracle.
    size: terms kept.
    threshold: None, or T as a ball: remainders are then bounds on [T, inf).
    deadline: `time.monotonic()` at which to give up.
  """

  def __init__(self, signs, size=6, threshold=None, deadline=None):
    self.signs, self.size, self.deadline = signs, size, deadline
    self.T = threshold
    self._compared, self._ratios, self._values = {}, {}, {}
    self._steps = 0

  def tick(self):
    self._steps += 1
    if self.deadline and time.monotonic() > self.deadline:
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

  def _growth(self, q):
    """Sign of ln q for large t."""
    if not q.exps:  # powers of t, ln t, ...: the first one decides
      signs = (self.signs.sign(a) for a in q.logs)
      return next((s for s in signs if s), 0)
    terms = [
      (g, c) for g, c in self.log_terms(q) if self.signs.sign(c) != 0
    ]
    if not terms:
      return 0
    best = terms[0]
    for term in terms[1:]:
      if self.compare(term[0], best[0]) > 0:
        best = term
    return self.signs.sign(best[1])

  def log_terms(self, m: Monomial) -> list:
    """ln m = sum c g, as pairs (g, c), unsorted."""
    out = [(level(k + 1), a) for k, a in enumerate(m.logs) if a != 0]
    return out + list(m.exps)

  def sort(self, terms):
    key = functools.cmp_to_key(lambda x, y: -self.compare(x[1], y[1]))
    return sorted(terms, key=key)

  def collect(self, terms, rests=()) -> Series:
    """Adds terms (coefficient, monomial) and remainders (bound, monomial)."""
    merged = []
    for c, m in self.sort(terms):
      if merged and self.compare(merged[-1][1], m) == 0:
        merged[-1] = (oracle.tidy(merged[-1][0] + c), m)
      else:
        merged.append((c, m))
    merged = [(c, m) for c, m in merged if self._nonzero(c)]
    rests = list(rests)
    if rests:
      top = rests[0][1]
      for _, m in rests[1:]:
        if self.compare(m, top) > 0:
          top = m
      keep = [x for x in merged if self.compare(x[1], top) > 0]
      rests += [(self.size_of(c), m) for c, m in merged[len(keep) :]]
      merged = keep
    if len(merged) > self.size:
      rests += [(self.size_of(c), m) for c, m in merged[self.size :]]
      merged = merged[: self.size]
    if not rests:
      return Series(tuple(merged))
    top = rests[0][1]
    for _, m in rests[1:]:
      if self.compare(m, top) > 0:
        top = m
    err = None
    if self.T is not None:
      err = sum((b * self.ratio(m, top) for b, m in rests), flint.arb(0))
    return Series(tuple(merged), top, err)

  def _nonzero(self, c):
    if c == 0:
      return False
    return True if c.is_Rational else self.signs.sign(c) != 0

  def size_of(self, c) -> flint.arb | None:
    """Upper bound of |c| (only with a threshold)."""
    return None if self.T is None else abs(oracle.ball(c))

  def rests(self, *series):
    return [(s.err, s.rest) for s in series if s.rest is not None]

  # Bounds on [T, inf).

  def at(self, m: Monomial) -> flint.arb:
    """Value at T."""
    if m not in self._values:
      out, x = flint.arb(1), self.T
      for a in m.logs:
        if not x > 0:
          raise Imprecise('threshold below the iterated logarithm')
        if a != 0:
          out *= x ** oracle.ball(a)
        x = x.log()
      for g, c in m.exps:
        out *= (self.at(g) * oracle.ball(c)).exp()
      self._values[m] = out
    return self._values[m]

  def ratio(self, m: Monomial, top: Monomial) -> flint.arb:
    """sup over t >= T of m / top, proved by its decrease from T on."""
    q = over(m, top)
    if q == ONE:
      return flint.arb(1)
    if q not in self._ratios:
      self._ratios[q] = None  # a cycle in the argument proves nothing
      if not self.decreasing(q):
        raise Imprecise('a ratio of monomials does not decrease yet')
      self._ratios[q] = self.at(q)
    if self._ratios[q] is None:
      raise Imprecise('no proof that a ratio of monomials decreases')
    return self._ratios[q]

  def decreasing(self, m: Monomial) -> bool:
    """Whether m decreases on [T, inf): the leading term of its rate is
    negative and outweighs the others from T on."""
    (c, top), *others = self.rate(m)
    others = (abs(oracle.ball(a)) * self.ratio(n, top) for a, n in others)
    return oracle.ball(c) + sum(others, flint.arb(0)) <= 0

  def rate(self, m: Monomial) -> list:
    """t d/dt ln m as terms (coefficient, monomial), decreasing."""
    terms, chain = [], ONE
    for k, a in enumerate(m.logs):
      if a != 0:
        terms.append((a, chain))
      chain = over(chain, level(k + 1))
    for g, c in m.exps:
      terms += [
        (oracle.tidy(c * b), times(g, h)) for b, h in self.rate(g)
      ]
    return self.collect_exact(terms)

  def collect_exact(self, terms):
    size, self.size = self.size, 10**6
    try:
      return list(self.collect(terms).terms)
    finally:
      self.size = size

  def extremum(self, terms, lower=True) -> flint.arb:
    """A bound below (or above) on [T, inf) of an exact sum of terms.

    The leading monomial is factored out; the others are at most their ratio
    at T, and the leading one at least (at most) its value there or its limit.
    """
    if not terms:
      return flint.arb(0)
    (c0, m0), *others = terms
    spread = sum(
      (abs(oracle.ball(c)) * self.ratio(m, m0) for c, m in others),
      flint.arb(0),
    )
    c0 = oracle.ball(c0)
    c = (c0 - spread).lower() if lower else (c0 + spread).upper()
    if m0 == ONE:
      return c
    growing = self.compare(m0, ONE) > 0
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

  def supremum(self, x: Series) -> flint.arb | None:
    """Bound of |x| / (its leading monomial) on [T, inf)."""
    if self.T is None:
      return None
    top = x.terms[0][1] if x.terms else x.rest
    total = sum(
      (abs(oracle.ball(c)) * self.ratio(m, top) for c, m in x.terms),
      flint.arb(0),
    )
    if x.rest is not None:
      total += x.err * self.ratio(x.rest, top)
    return total

  # Arithmetic.

  def add(self, x: Series, y: Series) -> Series:
    return self.collect(x.terms + y.terms, self.rests(x, y))

  def scale(self, x: Series, c: sp.Expr, m: Monomial = ONE) -> Series:
    if c == 0 or self.signs.sign(c) == 0:
      return Series()
    terms = tuple((oracle.tidy(c * a), times(m, b)) for a, b in x.terms)
    rest = None if x.rest is None else times(m, x.rest)
    err = None
    if x.rest is not None and self.T is not None:
      err = x.err * abs(oracle.ball(c))
    return Series(terms, rest, err)

  def neg(self, x):
    return self.scale(x, sp.Integer(-1))

  def sub(self, x, y):
    return self.add(x, self.neg(y))

  def mul(self, x: Series, y: Series) -> Series:
    self.tick()
    terms = [
      (oracle.tidy(a * b), times(m, n)) for a, m in x.terms for b, n in y.terms
    ]
    rests = []
    for u, v in ((x, y), (y, x)):
      if v.rest is not None and (u.terms or u.rest is not None):
        top = u.terms[0][1] if u.terms else u.rest
        bound = None if self.T is None else self.supremum(u) * v.err
        rests.append((bound, times(top, v.rest)))
    return self.collect(terms, rests)

  def lead(self, x: Series) -> tuple[sp.Expr, Monomial]:
    """The leading term; x must be known to be other than 0."""
    if not x.terms:
      raise Imprecise('all known terms cancel')
    return x.terms[0]

  def sign(self, x: Series) -> int:
    """Sign of x for all large t (for all t >= T with a threshold)."""
    if not x.terms and x.exact:
      return 0
    c, m = self.lead(x)
    if self.T is not None:
      spread = sum(
        (abs(oracle.ball(a)) * self.ratio(n, m) for a, n in x.terms[1:]),
        flint.arb(0),
      )
      if x.rest is not None:
        spread += x.err * self.ratio(x.rest, m)
      if not spread < abs(oracle.ball(c)):
        raise Imprecise('the sign is not settled at the threshold')
    return self.signs.sign(c)

  def split(self, x: Series):
    """x = c m (1 + small): returns c, m, small."""
    c, m = self.lead(x)
    unit = self.scale(x, oracle.tidy(1 / c), raised(m, sp.Integer(-1)))
    return c, m, Series(unit.terms[1:], unit.rest, unit.err)

  def compose(self, x: Series, coefficient, remainder) -> Series:
    """sum_k coefficient(k) x^k, x -> 0; remainder(N, r) bounds the sum of
    |coefficient(k)| r^k over k >= N, divided by r^N."""
    out = constant(coefficient(0))
    if not x.terms and x.exact:
      return out
    top = x.terms[0][1] if x.terms else x.rest
    if self.compare(top, ONE) >= 0:
      raise Imprecise('a power series outside its disc')
    n = self.size
    power = constant(1)
    for k in range(1, n):
      power = self.mul(power, x)
      out = self.add(out, self.scale(power, sp.sympify(coefficient(k))))
    err = None
    if self.T is not None:
      sup = self.supremum(x)
      r = sup * self.ratio(top, ONE)
      if not r < 1 / flint.arb(2):
        raise Imprecise('a power series converges too slowly at the threshold')
      err = sup**n * remainder(n, r)
    last = raised(top, sp.Integer(n))
    return self.collect(out.terms, [*self.rests(out), (err, last)])

  def inverse(self, x: Series) -> Series:
    if not x.terms and x.exact:
      raise Undefined('division by 0 at all large distances')
    c, m, small = self.split(x)
    unit = self.compose(small, lambda k: (-1) ** k, lambda n, r: 1 / (1 - r))
    return self.scale(unit, oracle.tidy(1 / c), raised(m, sp.Integer(-1)))

  def log1p(self, small: Series) -> Series:
    return self.compose(
      small,
      lambda k: sp.Rational((-1) ** (k + 1), k) if k else ZERO,
      lambda n, r: 1 / (n * (1 - r)),
    )

  def log(self, x: Series) -> Series:
    c, m, small = self.split(x)
    if self.sign(x) < 0:
      raise Undefined('the logarithm of a negative number')
    terms = [(a, g) for g, a in self.log_terms(m)] + [(oracle.log(c), ONE)]
    return self.add(self.collect(terms), self.log1p(small))

  def parts(self, x: Series) -> tuple[Series, sp.Expr, Series]:
    """x = infinite part (exact) + constant + infinitesimal part."""
    if x.rest is not None and self.compare(x.rest, ONE) >= 0:
      raise Imprecise('the remainder does not tend to 0')
    large, middle, small = [], ZERO, []
    for c, m in x.terms:
      order = self.compare(m, ONE)
      if order > 0:
        large.append((c, m))
      elif order == 0:
        middle = c
      else:
        small.append((c, m))
    return Series(tuple(large)), middle, Series(tuple(small), x.rest, x.err)

  def exp(self, x: Series) -> Series:
    large, middle, small = self.parts(x)
    m = ONE
    for c, g in large.terms:
      k = len(g.logs) - 1
      if k >= 1 and g == level(k):
        m = times(m, Monomial((ZERO,) * (k - 1) + (c,)))
      else:
        m = times(m, Monomial((), ((g, c),)))
    unit = self.compose(
      small,
      lambda k: sp.Rational(1, sp.factorial(k)),
      lambda n, r: r.exp() / flint.arb(n).gamma() / n,
    )
    return self.scale(unit, oracle.tidy(sp.exp(middle)), m)

  def power(self, x: Series, a: sp.Expr) -> Series:
    if not x.terms and x.exact:
      if self.signs.sign(a) <= 0:
        raise Undefined('0 to a negative power')
      return Series()
    if a.is_Integer and 0 <= a <= (self.size if x.exact else 4):
      out = constant(1)
      for _ in range(int(a)):
        out = self.mul(out, x)
      return out
    c, m, small = self.split(x)
    if self.sign(x) < 0:
      if not a.is_Integer:
        raise Undefined('a fractional power of a negative number')
      c = oracle.power(-c, a) * (-1) ** int(a % 2)
    else:
      c = oracle.power(c, a)
    unit = self.exp(self.scale(self.log1p(small), a))
    return self.scale(unit, oracle.tidy(c), raised(m, a))

  def wave(self, x: Series, cosine: bool) -> Series:
    """sin or cos of a series with a limit."""
    _, middle, small = self.parts(x)
    fact = lambda k: sp.Rational(1, sp.factorial(k))
    bound = lambda n, r: r.exp() / flint.arb(n).gamma() / n
    even = lambda k: (-1) ** (k // 2) * fact(k) if k % 2 == 0 else ZERO
    odd = lambda k: (-1) ** (k // 2) * fact(k) if k % 2 else ZERO
    c = self.compose(small, even, bound)
    s = self.compose(small, odd, bound)
    if cosine:
      return self.sub(
        self.scale(c, sp.cos(middle)), self.scale(s, sp.sin(middle))
      )
    return self.add(
      self.scale(c, sp.sin(middle)), self.scale(s, sp.cos(middle))
    )


__all__ = ['ONE', 'Field', 'Imprecise', 'Monomial', 'Series', 'Undecided']
