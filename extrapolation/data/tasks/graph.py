import functools
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from extrapolation import geometry
from extrapolation.data.probes import generator
from extrapolation.data.tasks import base, masking, network, potts

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
  graph has fewer such vertices, all of these. sweeps: of Gibbs sampling, from
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
  net = network.read(file)
  n = len(net.classes)

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
    candidate = network.independent(net, first)
    block, i = divmod(number, CHAINS)
    every = chains(file, beta, states, sweeps, seed, stream, block)
    labels = every[:, i].copy()
    last = np.flatnonzero(candidate)
    near = network.equal(net, labels, states)[last]
    labels[last] = network.drawn(near[..., None], beta, rng)[:, 0]
    order = np.where(candidate, rng.random(n), masking.NEVER)
    at, _ = part(size)
    return masking.example(
      ids=labels[at],
      order=order[at],
      share=min(1.0, masked * n / len(last)),
      inside=(part(within)[1] & candidate)[at],
      nats=potts.nats_of(labels, network.equal(net, labels, states), beta)[at],
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
  return network.sample(network.read(file), rng, beta, states, sweeps, CHAINS)
