"""One text whose values refute every window of a sum that diverges."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

from flint import arb

from extrapolation.theory.enclosures import ball
from extrapolation.theory.enclosures.prefix_sums import PrefixSums
from extrapolation.theory.enclosures.sums import precision
from extrapolation.theory.errors import NotProved, UndefinedTotal
from extrapolation.theory.expression.graph import Node
from extrapolation.theory.witness import first


def signs(
  b: Node,
  blocks: Iterable[int] | None = None,
  largest: int | Fraction = 1,
) -> Iterator[tuple[int, int, int]]:
  """One text against every window: (start, stop, e) with v_s = e u.

  For a sum that diverges, whatever the logits in [-M, M] and whatever w, the
  error ||o_i - o_i^w|| comes as close to 2 ||u|| as one likes along the text
  (docs/theory.md, theorem 3). Block k ends at the first N with

    B_{N - N'} - B_k >= k e^{2k} (B_k + N' beta),  N' where it starts.

  Args:
    b: the log weight.
    blocks: where blocks end, in place of those of the proof, which soon have
      no number.
    largest: beta, a bound of every weight.

  Raises:
    NotProved: a block ends beyond what can be summed.
    UndefinedTotal: a weight exceeds beta.
  """
  prefix, start = PrefixSums(b), 0
  ends = iter(blocks) if blocks is not None else None
  k = 0
  while True:
    k += 1
    if ends is None:
      stop = _end(prefix, k, start, largest)
    elif (stop := next(ends, None)) is None:
      return
    yield start, stop, (-1) ** k
    start = stop


def _end(
  prefix: PrefixSums, k: int, start: int, largest: int | Fraction
) -> int:
  with precision():
    beta = ball.number(largest)
    for t in range(64):  # a slip in units is soon seen
      if not prefix.sum.weight(t) <= beta:
        raise UndefinedTotal(
          f'the weight at distance {t} is not at most {largest}; give a bound '
          'of all weights as largest'
        )

  def goal(prefix: PrefixSums) -> arb:
    older = prefix(k) + start * beta
    return prefix(k) + k * arb(2 * k).exp() * older

  bracket = first(prefix, goal, k)
  if bracket.high is None:
    raise NotProved(
      f'block {k} of the proof ends beyond {start + (bracket.low or k) - 1} '
      'tokens, farther than is summed; give the ends of blocks'
    )
  return start + bracket.high
