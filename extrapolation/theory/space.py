r"""A geometry as theory reads it: its keys at each distance join the weight.

Where n(t) keys lie at distance t of a query, their weights have the sum
sum_t n(t) e^b(t) = sum_t e^(b(t) + ln n(t)), which is judged and enclosed as
that of a line with b + ln n in place of b (docs/theory.md, theorems 16 to 18).
"""

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from flint import arb

from extrapolation import geometry as geometries
from extrapolation.geometry import base, counts
from extrapolation.geometry.base import Geometry
from extrapolation.theory import (
  convergence,
  heated,
  limits,
  tightness,
  trf_bounds,
)
from extrapolation.theory.asymptotics import notation
from extrapolation.theory.attended import Head
from extrapolation.theory.bracket import Bracket
from extrapolation.theory.convergence import Verdict
from extrapolation.theory.enclosures.counted_sum import CountedSums
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression import direction, trace
from extrapolation.theory.expression.graph import Graph, Node, nodes, rebuild
from extrapolation.theory.verdicts import (
  NOT,
  NOT_JUDGED,
  UNKNOWN,
  Tightness,
  of_sum,
  unknown,
)

ROUNDED = 2.0**-50  # relative error of distances that are not whole
METRIC = 'keys at each distance are counted in an equivalent metric'
DECIDES = f'{METRIC}, which decides only where the bias never rises'
NO_SUM = f'no receptive field and no sum, as {METRIC}'


def of(geometry: Geometry | str | None) -> 'Space | None':
  """The space of a geometry or its text; None of a line, as it is without.

  Raises:
    ValueError: no such geometry.
  """
  if isinstance(geometry, str):
    geometry = geometries.parse(geometry)
  if geometry is None or geometry.log_count is base.of_line:
    return None
  return _spaces(geometry)


def summed(
  heads: Sequence[Node],
  eps: Sequence[Fraction],
  geometry: Geometry | str | None = None,
) -> list[tuple[list[Bracket], arb]]:
  """n(eps) and what encloses the sum of every head, on a line or elsewhere.

  Raises:
    ValueError: as `of` and `trf_bounds.summed`.
  """
  where = of(geometry)
  one = trf_bounds.summed if where is None else where.summed
  return [one(head, eps) for head in heads]


@functools.lru_cache(maxsize=64)
def _spaces(geometry: Geometry) -> 'Space':
  return Space(geometry)


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
  """The counts of one geometry.

  Attributes:
    geometry: other than a line.
  """

  geometry: Geometry

  @property
  def label(self) -> str:
    """As it is written."""
    return self.geometry.label or 'the graph'

  def not_judged(self, why: str) -> str:
    """Why a subject is not judged here that is not one by its weights."""
    return f'{why}; in {self.label} a bias of the distance alone is judged'

  @functools.cached_property
  def log_count(self) -> Node | None:
    """ln n(t), exact: ln 2 is no float32; None where a space is finite."""
    if self.geometry.log_count is None:
      return None
    (root,) = trace.read(self.geometry.log_count, None, Graph(rounds=False))
    return root

  @functools.cached_property
  def growth(self) -> str:
    """n(t) as text, t > 0: `4 t`."""
    assert self.log_count is not None
    return notation.exponential(self.log_count)

  @functools.cached_property
  def keys(self) -> str:
    """How many keys there are, as text: `4 t keys at distance t`."""
    if self.log_count is not None:
      n = self.growth
      where = '' if self.geometry.exact else ' of an equivalent metric'
      return f'{n} key{"s" * (n != "1")} at distance t{where}'
    t, n = self.counts
    return (
      f'{int(n.sum()):,} keys at distances of at most {float(t[-1]):g} from '
      'its centre'
    )

  @functools.cached_property
  def counts(self) -> tuple[np.ndarray, np.ndarray]:
    """Distances and how many keys lie at each, of a finite space."""
    size = self.geometry.only
    if size is None:
      raise NotProved(f'{self.label} does not say how many keys it has')
    return counts.of_query(self.geometry, size)

  def mass(self, b: Node) -> Node:
    """b(t) + ln n(t), of a space without end."""
    graph = Graph(rounds=False)
    parts = []
    for root in (b, self.log_count):
      assert root is not None
      leaves = [node for node in nodes(root) if node.op == 't']
      parts.append((1, rebuild(graph, root, dict.fromkeys(leaves, graph.t))))
    bias, (_, count) = parts[0], parts[1]
    if count.op == 'select':
      condition, *cases = count.args
      return graph.select(
        condition, *(graph.total([bias, (1, x)]) for x in cases)
      )
    return graph.total(parts)

  def sums(self, b: Node, t: np.ndarray, keys: np.ndarray) -> CountedSums:
    """Sums over finitely many distances."""
    return CountedSums(b, t, keys, 0.0 if self.geometry.whole else ROUNDED)

  def judge(self, b: Node) -> Verdict:
    """The verdict on the sum over all keys of exp(b).

    Raises:
      UndefinedWeight: as `convergence.judge`.
    """
    if self.log_count is None:
      return Verdict('converges', None, f'{self.keys}: a finite sum')
    verdict = convergence.judge(self.mass(b))
    if verdict.verdict == 'unknown':
      return verdict
    # What decides by the order of distances alone takes that b is monotone.
    if not self.geometry.exact and not direction.never_rises(b):
      return Verdict('unknown', None, f'{DECIDES}; that is not proved of it')
    said = self.keys
    if not self.geometry.exact:
      said = f'b never rises, and there are {said}'
    n = self.growth
    said += ': ' if n == '1' else f'; with b + ln({n}) as b: '
    return dataclasses.replace(verdict, argument=said + verdict.argument)

  def tight(self, head: Head, M: float | None = None) -> Tightness:
    """The verdict on a head of attention; M as in `tightness.judge`."""
    plain = dict(clock=head.is_index, score=head.score.is_plain)
    through = ' and '.join(name for name, so in plain.items() if not so)
    if head.b is None or through:
      why = head.why_not or f'order enters through {through}, not weights'
      return Tightness(NOT_JUDGED, None, self.not_judged(why))
    known, own = of_sum(self.judge(head.b)), limits.own_weight_is_positive
    if known.verdict not in (NOT, UNKNOWN) and not own(head.b):
      known = unknown('a finite weight above 0 of the query itself')
    if head.is_one or self.log_count is None:  # a given graph is finite
      return known
    return self._heated(head, M, known)

  def _heated(self, head: Head, M: float | None, cold: Tightness) -> Tightness:
    """The verdict under a heat, on what holds without it (theorem 19)."""
    assert head.b is not None
    at = limits.at_infinity(head.b)
    if not limits.own_weight_is_positive(head.b):
      return unknown('a finite weight above 0 of the query itself')
    if at.kind == limits.ZERO:
      return tightness.hard(head)
    if head.whole:
      return heated.whole(head, at, M, line=False)
    return heated.content(head, at, M, cold, line=False)

  def summed(
    self, b: Node, eps: Sequence[Fraction], verdict: Verdict | None = None
  ) -> tuple[list[Bracket], arb]:
    """n(eps) by distance, and what encloses the sum, which may be infinite.

    Raises:
      NotProved, UndefinedTotal: as `trf_bounds.summed`.
    """
    if self.log_count is None:
      sums = self.sums(b, *self.counts)
      return trf_bounds.of_tails(sums, eps), sums.beyond(0) * sums.unit
    verdict = verdict or self.judge(b)
    if not self.geometry.exact and verdict.verdict != 'diverges':
      raise NotProved(f'{self.label}: {NO_SUM}')
    return trf_bounds.summed(self.mass(b), eps, verdict)
