r"""Theoretical receptive field: brackets that are proofs.

n(eps) = inf{ j : sum_{t<j} e^b(t) > (1 - eps) B } = inf{ j : T_j < eps B },
B = sum_{t>=0} e^b(t), T_j = sum_{t>=j} e^b(t), j and t in tokens.

Source: Qin et al. 2024, Exploring Transformer Extrapolation, arXiv 2307.10156.

B and T_j are enclosed in balls: near distances one by one, further ones in
blocks by Taylor models whose powers are summed exactly (Bernoulli
polynomials), still further ones as integrals over ln t (or ln ln t, ...) with
the trapezoid's error, and everything beyond by tail.py.
"""

import dataclasses
import heapq
import math
from fractions import Fraction

import flint
from flint import arb

from extrapolation.theory import ball, tail
from extrapolation.theory.ball import Balls, Jet, Jets, Program, Split, variable
from extrapolation.theory.expression import Node

ORDER = 18  # of the Taylor models
POINTS = 32  # a block of at most so many distances is summed one by one
BLOCKS = 4000  # evaluations a head
TOLERANCE = 1e-22
FAR = 1 << 30  # tokens from which sums are taken as integrals
LARGEST = 10**1000  # tokens: a receptive field is bracketed below


class Undefined(ValueError):
  """A weight that is infinite or not a number."""


@dataclasses.dataclass(frozen=True)
class Bracket:
  """low <= n(eps) <= high in tokens; None is infinity.

  low finite and high None: at least `low`, and no upper bound below LARGEST.
  """

  low: int | None
  high: int | None


INFINITE = Bracket(None, None)


@dataclasses.dataclass(order=True)
class Block:
  """sum over a <= t < b; a, b integers, or reals x = l_{k+1}(t) when far."""

  start: float
  a: object = dataclasses.field(compare=False)
  b: object = dataclasses.field(compare=False)
  far: bool = dataclasses.field(compare=False)
  value: arb = dataclasses.field(compare=False)


class Sums:
  """Enclosures of B and T_j for one convergent head.

  Args:
    root: the log weight.
    rung: k of the logarithmic scale on which the sum converges.
    smallest: the smallest eps that will be asked for.

  Raises:
    Undefined: an infinite or undefined weight at some distance.
  """

  def __init__(self, root: Node, rung: int = 0, smallest=Fraction(1, 1000)):
    self.root, self.k = root, rung
    self.left = BLOCKS
    with flint.ctx.workprec(ball.PRECISION):
      flint.ctx.cap = ORDER + 1
      self.program = Program(root)
      self.near = [self._weight(t) for t in range(2 * POINTS)]
      scale = sum(self.near, arb(0))
      self.blocks, self.tail = self._plan(scale, smallest)
      self._refine(scale, smallest)
      self._accumulate()

  # One distance.

  def _log_weight(self, t) -> arb:
    return self.program(t if isinstance(t, arb) else arb(t), Balls)

  def _weight(self, t) -> arb:
    w = self._log_weight(t).exp()
    if not w.is_finite():
      raise Undefined(
        f'the weight at distance {t} is infinite or undefined, so there is no '
        'total to take a share of; write log(t + 1) rather than log(t)'
      )
    return w

  # Blocks.

  def _plan(self, scale, smallest):
    """Blocks up to a threshold from which a tail bound is sharp enough."""
    best = None
    for T in self._thresholds():
      found = tail.beyond(self.root, T, self.k)
      if found is None:
        continue
      t = found(self._log_weight(T), T)
      best = (found, T)
      width = 2 * t.rad() / (arb(smallest.numerator) / smallest.denominator)
      if width < 1e-18 * scale or t.rad() < 1e-15 * t.mid():
        break
    if best is None:
      raise tail.Undecided('no bound of the tail')
    found, T = best
    blocks, a = [], 2 * POINTS
    while a < FAR:
      blocks.append(self._block(a, 2 * a, False))
      a *= 2
    x, end = self._coordinate(arb(FAR)), self._coordinate(T)
    steps = max(1, math.ceil(float(end - x) * 1.5))
    edges = [x + (end - x) * i / steps for i in range(steps)] + [end]
    edges = [edges[0], *(e.mid() for e in edges[1:-1]), end]
    if T > FAR:
      for lo, hi in zip(edges, edges[1:], strict=False):
        blocks.append(self._block(lo, hi, True))
    return blocks, found

  def _thresholds(self):
    """T = 2^30 and then far apart, on the axis of the rung."""
    with flint.ctx.workprec(ball.PRECISION):
      yield arb(FAR)
      if self.k == 0:
        for bits in (60, 120, 240, 480, 960):
          yield arb(2) ** bits
      else:
        yield arb(2) ** 60
        yield arb(2) ** 240
        for x in (6, 10, 16, 24, 32):
          T = arb(x)
          for _ in range(2):
            T = T.exp()
          yield T

  def _coordinate(self, t: arb) -> arb:
    for _ in range(self.k + 1):
      t = t.log()
    return t

  def _block(self, a, b, far) -> Block:
    self.left -= 1
    start = float(a) if not far else 1e300 + float(a) * 1e290
    return Block(start, a, b, far, self._sum(a, b, far))

  def _sum(self, a, b, far) -> arb:
    if far:
      return self._integral(a, b)
    if b - a <= POINTS:
      return sum((self._weight(t) for t in range(a, b)), arb(0))
    try:
      return self._taylor(a, b)
    except Split:
      return self._crude(arb(a).union(arb(b - 1)), arb(b - a))

  def _crude(self, t: arb, count: arb) -> arb:
    """Number of distances times the range of the weight."""
    w = self._log_weight(t).exp()
    if not w.is_finite():
      return arb.pos_inf().union(arb(0))
    return count * w.lower().max(arb(0)).union(w.upper())

  def _taylor(self, a, b) -> arb:
    """sum_k f_k S_k with S_k = sum (t - c)^k = 2 B_{k+1}((n+1)/2) / (k+1)."""
    n, c = arb(b - a), arb(a + b - 1) / 2
    h = (n - 1) / 2
    w = self._jet(variable(c, arb(a).union(arb(b - 1))))
    total, half = arb(0), (n + 1) / 2
    for k in range(ORDER):
      f = w.centre[k]
      if k % 2 == 0:
        total += f * 2 * half.bernoulli_poly(k + 1) / (k + 1)
      elif w.fuzzy:
        total += arb(0, (f.rad() * h**k * n).upper())
    rest = w.range[ORDER].abs_upper() * h**ORDER * n
    return total + arb(0, rest.upper()) if rest.is_finite() else self._crude(
      arb(a).union(arb(b - 1)), n
    )

  def _jet(self, t: Jet) -> Jet:
    return Jets.exp(None, self.program(t, Jets))

  def _integral(self, x0: arb, x1: arb) -> arb:
    r"""sum over exp^{k+1}(x0) <= t < exp^{k+1}(x1), up to the end terms.

    int w dt = int exp(b + l_1 + .. + l_{k+1}) dx; the trapezoid's ends
    (w(a) - w(b)) / 2 telescope over blocks and are added once.
    """
    c, block = ((x0 + x1) / 2).mid(), x0.union(x1)
    x = variable(c, block)
    t, chain = x, x
    for i in range(self.k + 1):
      t = t.map(lambda s: s.exp(), t)
      if i < self.k:
        chain = chain.join(t, lambda a, b: a + b)
    try:
      b = self.program(t, Jets)
      mass = Jets.exp(None, b.join(chain, lambda u, v: u + v))
      w = Jets.exp(None, b)
      if b.fuzzy:
        raise Split
    except Split:
      return self._crude(t.values(), self._tokens(x1) - self._tokens(x0))
    lo, hi = x0 - c, x1 - c
    total = arb(0)
    for k in range(ORDER):
      total += mass.centre[k] * (hi ** (k + 1) - lo ** (k + 1)) / (k + 1)
    h = (block - c).abs_upper()
    rest = mass.range[ORDER].abs_upper() * (hi - lo).abs_upper() * h**ORDER
    error = self._trapezoid(w.range, x0, x1)
    total += arb(0, (rest + error).upper())
    if not total.is_finite():
      return self._crude(t.values(), self._tokens(x1) - self._tokens(x0))
    return total

  def _trapezoid(self, w, x0, x1) -> arb:
    """Bound of |sum - integral - (w(a) - w(b)) / 2|.

    At most 1/8 int |w''| dt, with w'' = (w_xx - w_x) / t^2 on x = ln t; on
    higher rungs at most the total variation.
    """
    if self.k == 0:
      bound = (abs(2 * w[2]) + abs(w[1])) * (x1 - x0) / 8 / x0.exp()
    else:
      bound = abs(w[1]) * (x1 - x0)
    return bound.upper()

  def _tokens(self, x: arb) -> arb:
    for _ in range(self.k + 1):
      x = x.exp()
    return x

  def _refine(self, scale, smallest):
    """Halves the worst blocks until every tail is sharp."""
    floor = scale * smallest.numerator / smallest.denominator
    queue = []

    def push(block, base):
      error = block.value.rad() / base
      error = float(error.upper()) if error.is_finite() else 1e300
      if error > TOLERANCE and not self._final(block):
        heapq.heappush(queue, (-error, id(block), block, base))

    kept = set()
    total = arb(0)
    for block in reversed(self.blocks):
      finite = block.value.is_finite()
      total += block.value.mid() if finite else arb(0)
      kept.add(id(block))
      push(block, (total + floor).mid())
    store = {id(b): b for b in self.blocks}
    while queue and self.left > 0:
      _, key, block, base = heapq.heappop(queue)
      del store[key]
      for a, b in self._halves(block):
        half = self._block(a, b, block.far)
        store[id(half)] = half
        push(half, base)
    self.blocks = sorted(store.values())

  def _final(self, block):
    return not block.far and block.b - block.a <= POINTS

  def _halves(self, block):
    if block.far:
      middle = ((block.a + block.b) / 2).mid()
    else:
      middle = (block.a + block.b) // 2
    return (block.a, middle), (middle, block.b)

  def _accumulate(self):
    """T at every block's start, from the far end."""
    T = self.tail.T
    self.rest = self.tail(self._log_weight(T), T)
    far = [b for b in self.blocks if b.far]
    if far:  # sum_{t >= T} counts w(T) once, the trapezoid half of it
      self.rest -= self._weight_at(T) / 2
    total, self.after = self.rest, []
    for i in range(len(self.blocks) - 1, -1, -1):
      block = self.blocks[i]
      self.after.append(total)
      total = total + block.value
      if block.far and (i == 0 or not self.blocks[i - 1].far):
        total = total + self._weight_at(arb(FAR)) / 2
    self.after.reverse()
    self.tails = [total]
    for w in reversed(self.near):
      total = total + w
      self.tails.append(total)
    self.tails.reverse()  # T_j, j = 0 .. 2 POINTS
    self.total = self.tails[0]

  def _weight_at(self, t):
    return self._log_weight(t).exp()

  # The receptive field.

  def beyond(self, j: int) -> arb:
    """Encloses T_j."""
    with flint.ctx.workprec(max(ball.PRECISION, 64 + j.bit_length())):
      flint.ctx.cap = ORDER + 1
      if j < len(self.tails):
        return self.tails[j]
      t = arb(j)
      if t >= self.tail.T:
        return self.tail(self._log_weight(t), t)
      if j >= FAR:
        x = self._coordinate(t)
        for i, block in enumerate(self.blocks):
          if block.far and not block.b < x:
            head = self._integral(x, block.b) if x < block.b else arb(0)
            return self.after[i] + head + self._weight_at(t) / 2
      for i, block in enumerate(self.blocks):
        if not block.far and block.a <= j < block.b:
          head = self._sum(j, block.b, False)
          after = self.after[i]
          if block.b == FAR and self._far():
            after = after + self._weight_at(arb(FAR)) / 2
          return after + head
    raise AssertionError(f'no block holds {j}')

  def _far(self):
    return any(b.far for b in self.blocks)

  def trf(self, eps: Fraction) -> Bracket:
    """The bracket of n(eps)."""

    def decide(j):
      """1: T_j < eps B for certain; -1: certainly not; 0: not known."""
      with flint.ctx.workprec(ball.PRECISION):
        left = self.beyond(j) * eps.denominator
        right = self.total * eps.numerator
      return 1 if left < right else -1 if left >= right else 0

    return search(decide)


def search(decide) -> Bracket:
  """The bracket of the first j with decide(j) = 1, doubling and bisecting."""
  known = {}

  def ask(j):
    if j not in known:
      known[j] = decide(j)
    return known[j]

  j, known[0] = 1, -1  # T_0 = B
  while ask(j) != 1:
    j = 2 * j if j < FAR else j * j
    if j > LARGEST:
      low, _ = _edge(ask, (-1,), max(k for k in known if known[k] < 0), LARGEST)
      return Bracket(low + 1, None)
  low, _ = _edge(ask, (-1,), max(k for k in known if known[k] < 0), j)
  _, high = _edge(ask, (-1, 0), low, j)
  return Bracket(low + 1, high)


def _edge(ask, values, low, high):
  """Halves (low, high] while ask(low) is one of `values`, ask(high) is not.

  Stops at one token, or at 1e-15 of the distance.
  """
  while high - low > max(1, low >> 50):
    if high > 4 * low + 4:
      middle = 1 << ((low.bit_length() + high.bit_length()) // 2)
      middle = min(max(middle, low + 1), high - 1)
    else:
      middle = (low + high) // 2
    if ask(middle) in values:
      low = middle
    else:
      high = middle
  return low, high


__all__ = ['INFINITE', 'Bracket', 'Sums', 'Undefined']
