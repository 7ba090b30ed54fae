"""The Potts model on a graph: its edges, independent vertices, samples."""

import functools
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import sparse

from extrapolation.geometry import graph


class Network(NamedTuple):
  """Edges of a graph, and which of its vertices are drawn at once.

  Attributes:
    edges: [n, n] of 0 and 1, symmetric.
    classes: of each vertex; no two neighbours are in one.
  """

  edges: sparse.csr_array
  classes: Int[np.ndarray, ' n']


@functools.lru_cache(maxsize=8)
def read(file: str) -> Network:
  """The graph of a file, without loops."""
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
