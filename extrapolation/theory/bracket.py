"""The bracket of an integer, by questions whose answers are proofs."""

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

from extrapolation.theory.enclosures import block_sum, sums

LARGEST = 10**1000  # tokens: a receptive field beyond is not bracketed


@dataclasses.dataclass(frozen=True)
class Bracket:
  """low <= n(eps) <= high in tokens; both None is infinity.

  low an integer and high None: n(eps) >= low, with no upper bound found.
  """

  low: int | None
  high: int | None

  @property
  def sharp(self) -> bool:
    """Whether its ends differ by less than a 2000th."""
    if self.low is None or self.high is None:
      return False
    return (self.high - self.low) * 2000 < self.low


INFINITE = Bracket(None, None)


def decider(
  beyond: Callable, eps: Fraction, tie: Callable | None = None
) -> Callable[[int], int]:
  """What `search` asks of j; `tie(j, eps)` where the enclosures meet."""

  def decide(j: int) -> int:
    """1: T_j < eps B for certain; -1: certainly not; 0: not known."""
    tail, total = beyond(j), beyond(0, j.bit_length())
    with sums.precision(96 + 2 * j.bit_length()):
      left, right = tail * eps.denominator, total * eps.numerator
    out = 1 if left < right else -1 if left >= right else 0
    return tie(j, eps) if not out and tie is not None else out

  return decide


def search(decide: Callable[[int], int], guess: int = 1) -> Bracket:
  """The bracket of the first j with decide(j) = 1, from a guess outwards."""
  known = {0: -1}  # T_0 = B

  def ask(j: int) -> int:
    if j not in known:
      known[j] = decide(j)
    return known[j]

  low = high = max(guess, 1)
  step = 1
  while ask(low) >= 0:
    low, step = max(low - step, 0), 2 * step
  step = 1
  while ask(high) != 1:
    if high > LARGEST:
      return Bracket(_edge(ask, (-1,), low, high)[0] + 1, None)
    step = step * step if step > block_sum.FAR else 2 * step
    high += step
  before, _ = _edge(ask, (-1,), low, high)
  _, first = _edge(ask, (-1, 0), before, high)
  return Bracket(before + 1, first)


def _edge(
  ask: Callable[[int], int], values: Sequence[int], low: int, high: int
) -> tuple[int, int]:
  """Narrows (low, high], ask(low) one of `values` and ask(high) not."""
  while high - low > 1:
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
