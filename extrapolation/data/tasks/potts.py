"""The Potts model: its conditional law at a site, and samples of a lattice."""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float, Float32, Int, Integer, UInt8

MOST_STATES = 16

Lattice = UInt8[np.ndarray, 'h w']


def critical(states: int) -> float:
  """beta above which a large square lattice orders: ln(1 + sqrt(states))."""
  return math.log1p(math.sqrt(states))


def nats(
  equal: Int[np.ndarray, '*n q'], beta: float
) -> Float[np.ndarray, '*n q']:
  r"""-ln p(s | neighbours) of each state s.

  p(s | neighbours) = exp(beta n_s) / sum_u exp(beta n_u), where n_s is the
  number of neighbours in state s.

  equal: n_s.
  """
  energy = beta * equal
  top = energy.max(-1, keepdims=True)
  return top + np.log(np.exp(energy - top).sum(-1, keepdims=True)) - energy


def nats_of(
  states: Integer[np.ndarray, '*n'],
  equal: Int[np.ndarray, '*n q'],
  beta: float,
) -> Float[np.ndarray, '*n']:
  """Those of the states that the sites are in."""
  chosen = states[..., None].astype(int)
  return np.take_along_axis(nats(equal, beta), chosen, -1)[..., 0]


@dataclasses.dataclass(frozen=True)
class Potts:
  """A lattice of sites, the left side of which meets the right.

  Attributes:
    beta: weight of an equal pair of neighbours, ln of it.
    states: of a site.
    height, width: sites; the width is even.
    free: whether the upper row has nothing above it, and the lower nothing
      below; else they meet, and the height is even.
  """

  beta: float
  states: int
  height: int
  width: int
  free: bool = False

  def sample(self, rng: np.random.Generator, sweeps: int) -> Lattice:
    """Sites after Gibbs sweeps from independent ones.

    A sweep draws the sites (i, j) of even i + j given the others, then the
    others given these. So, after any number of sweeps, the sites of odd i + j
    have exactly their conditional law given all else.
    """
    shape = (self.height, self.width // 2)
    thresholds = self._thresholds
    # Sites of even and of odd i + j, in the order of their columns.
    halves = [
      rng.integers(self.states, size=shape).astype(np.uint32) for _ in range(2)
    ]
    for _ in range(sweeps):
      for odd in (0, 1):
        code = self._code(halves[1 - odd], odd)
        u = rng.random(shape, np.float32)
        drawn = np.zeros(shape, np.uint32)
        for threshold in thresholds:
          drawn += u >= threshold[code]
        halves[odd] = drawn
    out = np.empty((self.height, self.width), np.uint8)
    for i in (0, 1):
      out[i::2, i::2] = halves[0][i::2]
      out[i::2, 1 - i :: 2] = halves[1][i::2]
    return out

  def equal(self, sites: Lattice) -> Int[np.ndarray, 'h w q']:
    """How many neighbours of each site are in each state."""
    one = np.eye(self.states, dtype=np.int64)[sites]
    up, down = np.roll(one, 1, 0), np.roll(one, -1, 0)
    if self.free:
      up[0], down[-1] = 0, 0
    return up + down + np.roll(one, 1, 1) + np.roll(one, -1, 1)

  def nats(self, sites: Lattice) -> Float[np.ndarray, 'h w']:
    """-ln p(site | neighbours) of every site."""
    return nats_of(sites, self.equal(sites), self.beta)

  def _code(self, other: np.ndarray, odd: int) -> np.ndarray:
    """One number for the four neighbours of each site of a half."""
    base = np.uint32(self.states + 1)  # the last digit is no neighbour
    up, down = np.roll(other, 1, 0), np.roll(other, -1, 0)
    if self.free:
      up[0], down[-1] = self.states, self.states
    side = np.empty_like(other)
    # Column 2 j + (i + odd) % 2 has the other half's j beside it, and one more.
    side[odd::2] = np.roll(other[odd::2], 1, 1)
    side[1 - odd :: 2] = np.roll(other[1 - odd :: 2], -1, 1)
    return ((up * base + down) * base + other) * base + side

  @functools.cached_property
  def _thresholds(self) -> Float32[np.ndarray, 'q1 n']:
    """Cumulative probabilities of all but the last state, by code."""
    base = self.states + 1
    digits = np.stack(np.unravel_index(np.arange(base**4), (base,) * 4), -1)
    equal = (digits[..., None] == np.arange(self.states)).sum(-2)
    p = np.exp(-nats(equal, self.beta))
    return p.cumsum(-1)[:, :-1].T.astype(np.float32).copy()
