import functools
import pathlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import sparse

from extrapolation import geometry
from extrapolation.data.probes import generator
from extrapolation.data.tasks import base, masking, potts

if TYPE_CHECKING:
  from extrapolation.geometry import Geometry, Size

MOST_BETA = 16.0
CHAINS = 32  # examples whose vertices are drawn side by side
BLOCKS = 1 << 40  # numbers of their generators, beyond those of all examples


def make(
  file: str = '',
  beta: float = 0.8,
  states: int = 4,
  masked: float = 0.1,
  sweeps: int = 50,
) -> base.Task:
  r"""Masked vertices of a Potts model on a given graph.

  p(s | neighbours) = exp(beta n_s) / sum_u exp(beta n_u), with n_s of them in
  state s; the optimum is -ln of it, exactly: masked vertices are no neighbours,
  and are drawn last, given all others.

  file: edges, as of geometry `graph`, whose `file` it must be; lengths of edges
  are of distances alone. A size is a number of vertices around the centre, as
  there; scored are masked vertices all of whose neighbours the smallest size
  has. masked: share of all vertices, of which no two are neighbours; where a
  graph has less such vertices, all of these. sweeps: of Gibbs sampling, from
  independent states.
  """
  if not file:
    raise ValueError('task graph needs a file of edges: graph:file=PATH')
  base.check_count('graph', 'states', states, 2, potts.MOST_STATES)
  if not 0 <= beta <= MOST_BETA:
    raise ValueError(f'beta = {beta}: task graph needs 0 <= beta <= 16')
  base.check_share('graph', masked)
  base.check_count('graph', 'sweeps', sweeps, 1, 1_000_000)
  # Whether pieces are refused, hidden or far is of the geometry that is read.
  space = geometry.get('graph', file=file, apart='hidden')
  net = network(file)
  (n,) = (len(net.classes),)

  @functools.cache
  def part(size: 'Size') -> tuple[np.ndarray, np.ndarray]:
    """Vertices of a size, and which vertices have all neighbours in it."""
    at = space.places(size)[:, 0]
    there = np.zeros(n, bool)
    there[at] = True
    return at, there & (net.edges @ ~there == 0)

  def check(size: 'Size', within: 'Size') -> None:
    base.check_sizes(
      'graph',
      ('vertices',),
      size,
      within,
      least=(2,),
      most=(n,),
      why=f'as {file} has no more vertices',
    )
    if not part(within)[1].any():
      raise ValueError(
        f'task graph: size {base.written(within)} has no vertex whose '
        'neighbours are all in it; make it larger'
      )

  def fits(given: 'Geometry') -> None:
    u, v = net.edges.nonzero()
    pair = u[:, None], v[:, None]
    same = given.only == (n,) and np.array_equal(
      space.distance(*pair), given.distance(*pair)
    )
    if not same:
      raise ValueError(
        f'data.source: task graph:file={file} is on another graph than '
        f'{given.label}; give both the same file'
      )

  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> base.Example:
    check(size, within)
    rng = generator(seed, stream, number)
    first, inner = rng.random(n), np.flatnonzero(part(within)[1])
    first[inner[rng.integers(len(inner))]] = -1  # so that there is a target
    candidate = independent(net, first)
    block, i = divmod(number, CHAINS)
    labels = chains(file, beta, states, sweeps, seed, stream, block)[
      :, i
    ].copy()
    last = np.flatnonzero(candidate)
    near = equal(net, labels, states)[last]
    labels[last] = drawn(near[..., None], beta, rng)[:, 0]
    order = np.where(candidate, rng.random(n), masking.NEVER)
    at, _ = part(size)
    return masking.example(
      ids=labels[at],
      order=order[at],
      share=min(1.0, masked * n / len(last)),
      inside=(part(within)[1] & candidate)[at],
      nats=potts.nats_of(labels, equal(net, labels, states), beta)[at],
      mask=states,
    )

  return base.Task(
    kind='masked',
    symbols=states,
    V=states + 1,
    mask=states,
    geometries=('graph',),
    check=check,
    draw=draw,
    fits=fits,
    smallest=(n,),
    source='Potts 1952, Proc. Camb. Phil. Soc. 48, 106',
  )


class Network(NamedTuple):
  """Edges of a graph, and which of its vertices are drawn at once.

  Attributes:
    edges: [n, n] of 0 and 1, symmetric.
    classes: of each vertex; no two neighbours are in one.
  """

  edges: sparse.csr_array
  classes: Int[np.ndarray, ' n']


@functools.lru_cache(maxsize=8)
def network(file: str) -> Network:
  """The graph of a file, without loops."""
  from extrapolation.geometry import graph

  lengths = graph.read(pathlib.Path(file).expanduser())
  there = sparse.coo_array(lengths)
  u, v = there.coords
  u, v = np.concatenate([u, v]), np.concatenate([v, u])
  one = sparse.coo_array((u != v, (u, v)), shape=lengths.shape).tocsr()
  one.eliminate_zeros()
  edges = (one > 0).astype(np.int64)
  classes = np.full(edges.shape[0], -1)
  # Largest degree first; each vertex gets the least class that is free.
  for i in np.argsort(-np.diff(edges.indptr), kind='stable'):
    taken = {*classes[edges.indices[edges.indptr[i] : edges.indptr[i + 1]]]}
    classes[i] = next(c for c in range(len(taken) + 1) if c not in taken)
  return Network(edges, classes)


def independent(
  net: Network, order: Float[np.ndarray, ' n']
) -> Bool[np.ndarray, ' n']:
  """Vertices taken in an order, but for neighbours of those taken before.

  No two are neighbours, and every other vertex has one of them beside it.
  """
  e, left = net.edges, order.astype(float)
  of = np.repeat(np.arange(len(order)), np.diff(e.indptr))
  taken = np.zeros(len(order), bool)
  while np.isfinite(left).any():
    least = np.full(len(order), np.inf)
    np.minimum.at(least, of, left[e.indices])
    first = left < least
    taken |= first
    left[first | (e @ first > 0)] = np.inf
  return taken


def equal(
  net: Network, labels: Int[np.ndarray, ' n'], states: int
) -> Int[np.ndarray, 'n q']:
  """How many neighbours of each vertex are in each state."""
  return net.edges @ np.eye(states, dtype=np.int64)[labels]


def drawn(
  equal: Num[np.ndarray, 'k q c'], beta: float, rng: np.random.Generator
) -> Int[np.ndarray, 'k c']:
  """States by their law given the neighbours: as exp(beta n_s)."""
  w = np.exp(beta * (equal - equal.max(1, keepdims=True)))
  u = rng.random(w[:, 0].shape) * w.sum(1)
  below, out = np.zeros_like(u), np.zeros(u.shape, int)
  for state in range(w.shape[1] - 1):
    below += w[:, state]
    out += u >= below
  return out


@functools.lru_cache(maxsize=8)
def chains(
  file: str,
  beta: float,
  states: int,
  sweeps: int,
  seed: int,
  stream: str,
  block: int,
) -> Int[np.ndarray, 'n c']:
  """The states of a block of examples before their last vertices are drawn."""
  rng = generator(seed, stream, BLOCKS + block)
  return sample(network(file), rng, beta, states, sweeps, CHAINS)


def sample(
  net: Network,
  rng: np.random.Generator,
  beta: float,
  states: int,
  sweeps: int,
  count: int = 1,
) -> Int[np.ndarray, 'n c']:
  """States after Gibbs sweeps, one class of vertices after the other.

  count: independent ones.
  """
  n = len(net.classes)
  labels = rng.integers(states, size=(n, count))
  members = [
    np.flatnonzero(net.classes == c) for c in range(net.classes.max() + 1)
  ]
  edges = net.edges.astype(np.float32)
  rows = [sparse.csr_array(edges[at]) for at in members]
  one = np.zeros((n, states, count), np.float32)
  every = np.arange(states)[:, None]
  one[:] = labels[:, None] == every
  for _ in range(sweeps):
    for at, row in zip(members, rows, strict=True):
      near = (row @ one.reshape(n, -1)).reshape(len(at), states, count)
      labels[at] = drawn(near, beta, rng)
      one[at] = labels[at, None] == every
  return labels
