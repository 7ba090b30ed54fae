import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from extrapolation.data.probes import generator
from extrapolation.data.tasks import base, masking, potts
from extrapolation.geometry.tree import vertices

if TYPE_CHECKING:
  from extrapolation.geometry import Size

MOST = 1 << 20  # vertices
# Uniform in [0, 1), of each vertex of a level: one for its label, and its order
# of `masking.example`.
Level = Float[np.ndarray, '_ 2']


def make(
  r: int = 2,
  symbols: int = 4,
  flip: float = 0.2,
  at: str = 'root',
  masked: float = 0.1,
) -> base.Task:
  r"""Masked vertices of a tree whose labels are broadcast from its root.

  A child has its parent's label with probability 1 - flip, else another one of
  `symbols`, each as likely. So p(s | neighbours) = exp(beta n_s) / sum_u
  exp(beta n_u), where n_s of parent and children have label s and beta =
  ln((1 - flip) (symbols - 1) / flip): this is the optimum, exactly, as no two
  masked vertices are neighbours.

  A size is a depth, r: children of each vertex above it. at=root: a larger tree
  has more levels below; masked are vertices of even or of odd levels, scored
  those all of whose children are in the smallest tree. at=leaf: a larger tree
  has more above, and the smallest one hangs from a vertex of it; masked are
  leaves, scored its own. masked: share of the vertices, or of the leaves.
  """
  base.check_count('tree', 'r', r, 1, 64)
  base.check_count('tree', 'symbols', symbols, 2, 256)
  if not 0 < flip < 1:
    raise ValueError(f'flip = {flip}: task tree needs 0 < flip < 1')
  if at not in ('root', 'leaf'):
    raise ValueError(f'at = {at!r}: task tree has root, leaf')
  leaf = at == 'leaf'
  base.check_share('tree', masked, 1.0 if leaf else 0.5)
  beta = math.log((1 - flip) * (symbols - 1) / flip)
  deepest = _deepest(r)

  def check(size: 'Size', within: 'Size') -> None:
    base.check_sizes(
      'tree',
      ('depth',),
      size,
      within,
      least=(1 if leaf else 2,),
      most=(deepest,),
      why=f'as r={r} has more than {MOST:,} vertices below',
    )

  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> base.Example:
    check(size, within)
    (depth,), (least,) = size, within
    rng = generator(seed, stream, number)
    odd, label = int(rng.integers(2)), int(rng.integers(symbols))
    levels, top = _levels(rng, r, least if leaf else depth), 0
    for k in range(len(levels) - 1, depth):
      child = int(rng.integers(r))
      top += child * r ** (k - least)
      levels = _grown(rng, r, levels, child)
    numbers = np.concatenate(levels)
    starts = np.cumsum([0, *map(len, levels)])
    labels = _broadcast(_shifts(numbers[:, 0], flip, symbols), r, starts)
    # The smallest tree is the same in all: its root has the label drawn first.
    root = starts[depth - least] + top if leaf else 0
    labels = (labels + label - labels[root]) % symbols
    candidate = np.zeros(len(labels), bool)  # may be masked
    inside = np.zeros(len(labels), bool)  # and be scored
    if leaf:
      candidate[starts[-2] :] = True
      first = starts[-2] + top * r**least
      inside[first : first + r**least] = True
    else:
      for k in range(odd, depth + 1, 2):
        candidate[starts[k] : starts[k + 1]] = True
      inside[: starts[least]] = True
    return masking.example(
      ids=labels,
      order=np.where(candidate, numbers[:, 1], masking.NEVER),
      share=masked if leaf else 2 * masked,
      inside=inside,
      nats=_nats(labels, r, int(starts[-2]), symbols, beta),
      mask=symbols,
    )

  return base.Task(
    kind='masked',
    symbols=symbols,
    V=symbols + 1,
    mask=symbols,
    geometries=('tree',),
    check=check,
    draw=draw,
    source='Evans et al. 2000, broadcasting on trees, Ann. Appl. Probab. 10',
  )


def _deepest(r: int) -> int:
  """The largest depth that has at most MOST vertices."""
  if r == 1:
    return MOST - 1
  return next(d for d in itertools.count() if vertices(r, d + 1) > MOST)


def _levels(rng: np.random.Generator, r: int, depth: int) -> list[Level]:
  """Of a tree; those of a deeper one of equal numbers begin with them."""
  numbers = rng.random((vertices(r, depth), 2))
  return np.split(numbers, np.cumsum([r**k for k in range(depth)]))


def _grown(
  rng: np.random.Generator, r: int, levels: list[Level], child: int
) -> list[Level]:
  """The tree whose root has the root of this one as a child, 0 .. r - 1."""
  out = [rng.random((1, 2))]
  for level in levels:
    others, n = rng.random(((r - 1) * len(level), 2)), child * len(level)
    out.append(np.concatenate([others[:n], level, others[n:]]))
  return out


def _shifts(
  u: Float[np.ndarray, ' n'], flip: float, symbols: int
) -> Int[np.ndarray, ' n']:
  """What is added to the label of a parent: not 0 with probability flip."""
  other = 1 + (u / flip * (symbols - 1)).astype(int)
  return np.where(u < flip, other, 0)


def _broadcast(
  shifts: Int[np.ndarray, ' n'], r: int, starts: Int[np.ndarray, ' k']
) -> Int[np.ndarray, ' n']:
  """Their sums from the root: label of each vertex, up to a constant."""
  out = shifts.copy()
  for a, b, c in zip(starts, starts[1:], starts[2:], strict=False):
    out[b:c] += np.repeat(out[a:b], r)
  return out


def _nats(
  labels: Int[np.ndarray, ' n'], r: int, parents: int, symbols: int, beta: float
) -> Float[np.ndarray, ' n']:
  """-ln p(label | labels of parent and children) of each vertex.

  parents: how many vertices, the first ones, have children.
  """
  one = np.eye(symbols, dtype=int)[labels]
  equal = np.zeros_like(one)
  equal[1:] = np.repeat(one[:parents], r, 0)
  equal[:parents] += one[1:].reshape(parents, r, symbols).sum(1)
  return potts.nats_of(labels, equal, beta)
