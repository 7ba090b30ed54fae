r"""Weights that are rational, or rational times a root or a power of e.

exp b with b = r + sum c_i log q_i, all numbers rational, is
prod q_i^floor(c_i) times e^r prod q_i^(c_i - floor(c_i)): a fraction times a
key. Two sums that agree for every key are equal, which no ball can prove.
"""

from fractions import Fraction

from flint import fmpq

from extrapolation.theory.enclosures.ball import MOST_BITS, exact
from extrapolation.theory.expression.graph import Graph, Node, nodes, rebuild

LONGEST = 1 << 15  # weights: fractions of harmonic sums grow with them
NOTHING = (fmpq(0), frozenset())
Weight = tuple[fmpq, frozenset]


def weights(root: Node, n: int) -> list[Weight] | None:
  """The weights at t < n, or None where they are not of this form."""
  out = []
  leaves = [node for node in nodes(root) if node.op == 't']
  for t in range(n if n <= LONGEST else 0):
    graph = Graph()  # folds b(t) to r + sum c log q
    at = rebuild(graph, root, dict.fromkeys(leaves, graph.const(t)))
    if (w := weight(at)) is None:
      return None
    out.append(w)
  return out if n <= LONGEST else None


def weight(b: Node) -> Weight | None:
  """exp b as a fraction and the key of what is not rational in it."""
  if b.op == 'inf' and b.data < 0:
    return NOTHING
  if b.op == 'const':
    r, terms = Fraction(b.data), []
  elif b.op == 'log':
    r, terms = Fraction(0), [(Fraction(1), b)]
  elif b.op == 'add':
    r, terms = b.data[0], list(zip(b.data[1], b.args, strict=True))
  else:
    return None
  factor, key = fmpq(1), {(None, r)} if r else set()
  for c, x in terms:
    q = x.args[0] if x.op == 'log' else x
    n = c.__floor__()
    if q.op != 'const' or x.op != 'log':
      return None
    q = exact(q.data)
    if abs(n) * q.p.bit_length() > MOST_BITS:
      return None
    factor *= q**n
    if c != n:
      key.add((q, c - n))
  return factor, frozenset(key)
