"""Frequencies of RoPE for contexts longer than those of training.

Sizes: K head width, L length of training, s = L' / L the factor by which a
context grows to L'. Pair m = 0 .. K/2 - 1 turns by w_m radians per token;
without scaling w_m = base_period^(-2 m / K).
"""

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe._rotation import W, plain


@dataclasses.dataclass(frozen=True)
class Setting:
  """The hyperparameters of `rotary`.

  Raises:
    ValueError: one is missing, not used or out of range.
  """

  base_period: float
  scaling: str
  factor: float
  train_length: int
  p: float
  long_factor: str

  def __post_init__(self):
    if self.scaling not in SCALINGS:
      raise ValueError(
        f'scaling = {self.scaling!r}; rotary has: {", ".join(SCALINGS)}'
      )
    for name, what in OPTIONS.items():
      users = [k for k, v in SCALINGS.items() if name in v.needs]
      if getattr(self, name) and self.scaling not in users:
        raise ValueError(
          f'{name} = {getattr(self, name)} is not used by scaling = '
          f'{self.scaling}; give scaling = {" or ".join(users)}, or no {name}'
        )
      if self.scaling in users and not getattr(self, name):
        raise ValueError(f'scaling = {self.scaling} needs {name}, {what}')
    if self.factor and not self.factor >= 1:
      raise ValueError(f'factor = {self.factor}: it must be >= 1')
    if not self.base_period > 1:
      raise ValueError(f'base_period = {self.base_period}: it must be > 1')
    if self.train_length < 2:
      raise ValueError(
        f'train_length = {self.train_length}: rotary needs at least 2 tokens'
      )
    if not 0 < self.p <= 1:
      raise ValueError(
        f'p = {self.p}: rotary needs a part of pairs, 0 < p <= 1'
      )
    self.divisors()

  def divisors(self) -> list[float]:
    """The numbers of `long_factor`."""
    try:
      numbers = [float(x) for x in self.long_factor.split('_') if x]
    except ValueError:
      numbers = [0.0]
    if not all(0 < x < math.inf for x in numbers):
      raise ValueError(
        f'long_factor = {self.long_factor!r}: it must be numbers > 0 with _ '
        'between them, such as 1.08_1.11_32.5'
      )
    return numbers

  def frequencies(self, K: int, positions: Num[Array, '...']) -> W:
    """w of the K/2 pairs; 0 for those that p leaves unturned."""
    w = SCALINGS[self.scaling].w(self, K, positions)
    if self.p < 1:
      w = jnp.where(jnp.arange(K // 2) < self.p * K / 2, w, 0)
    return w

  @property
  def temperature(self) -> float:
    """What q and k are both multiplied by, mscale in published code."""
    return SCALINGS[self.scaling].temperature(self)


def _none(c: Setting, K: int, positions: Array) -> W:
  return plain(c.base_period, K)


def _pi(c: Setting, K: int, positions: Array) -> W:
  """Position interpolation, w / s. Chen et al. 2023, arXiv 2306.15595."""
  return plain(c.base_period, K) / c.factor


def _raised(c: Setting, K: int, s: float | Array) -> float | Array:
  """The base period that divides the slowest frequency by s."""
  if K < 4:
    raise ValueError(
      f'head width K = {K}: scaling = {c.scaling} needs at least 4'
    )
  return c.base_period * s ** (K / (K - 2))


def _ntk(c: Setting, K: int, positions: Array) -> W:
  """NTK-aware: base_period s^(K / (K - 2)). Peng et al., arXiv 2309.00071."""
  return plain(_raised(c, K, c.factor), K)


def _dynamic(c: Setting, K: int, positions: Array) -> W:
  """NTK by the length at hand: s L' / L - (s - 1), 1 up to L' = L.

  L' is the largest of `positions`, plus 1. So keys that were rotated when a
  text was shorter are not those of a longer one.
  """
  length = jnp.max(positions).astype(jnp.float32) + 1
  growth = jnp.maximum(length / c.train_length, 1)
  return plain(_raised(c, K, c.factor * growth - (c.factor - 1)), K)


def _yarn(c: Setting, K: int, positions: Array) -> W:
  """YaRN: w / s below 1 turn in L tokens, w above 32, linear between.

  Linear in m, from the floor of the pair with 32 turns to the ceiling of that
  with 1. Peng et al. 2023, arXiv 2309.00071.
  """

  def pair(turns: float) -> float:
    period = c.train_length / (turns * 2 * math.pi)
    return K * math.log(period) / (2 * math.log(c.base_period))

  low = max(math.floor(pair(32.0)), 0)
  high = min(math.ceil(pair(1.0)), K - 1)
  m = jnp.arange(K // 2, dtype=jnp.float32)
  divided = jnp.clip((m - low) / (high - low or 0.001), 0, 1)
  w = plain(c.base_period, K)
  return w / c.factor * divided + w * (1 - divided)


def _llama3(c: Setting, K: int, positions: Array) -> W:
  """Llama 3.1: w / s below 1 turn in L tokens, w above 4, linear between."""
  w = plain(c.base_period, K)
  turns = c.train_length * w / (2 * math.pi)
  kept = jnp.clip((turns - 1) / (4 - 1), 0, 1)
  return w / c.factor * (1 - kept) + w * kept


def _longrope(c: Setting, K: int, positions: Array) -> W:
  """LongRoPE: w_m / long_factor_m, all tokens. Ding et al., 2402.13753."""
  divisors = c.divisors()
  if len(divisors) != K // 2:
    raise ValueError(
      f'long_factor has {len(divisors)} numbers; a head width of K = {K} needs '
      f'{K // 2}, one for each pair'
    )
  return plain(c.base_period, K) / jnp.asarray(divisors, jnp.float32)


@dataclasses.dataclass(frozen=True)
class Scaling:
  """One rule: its frequencies, its temperature and the options it needs."""

  w: Callable[[Setting, int, Array], W]
  temperature: Callable[[Setting], float] = lambda c: 1.0
  needs: tuple[str, ...] = ('factor',)


OPTIONS = dict(
  factor='the growth of the context, such as 18 from 512 to 9216 tokens',
  long_factor='K/2 numbers that divide the frequencies, with _ between them',
)
SCALINGS = dict(
  none=Scaling(_none, needs=()),
  pi=Scaling(_pi),
  ntk=Scaling(_ntk),
  dynamic=Scaling(_dynamic),
  yarn=Scaling(_yarn, lambda c: 0.1 * math.log(c.factor) + 1),
  llama3=Scaling(_llama3),
  longrope=Scaling(
    _longrope,
    lambda c: math.sqrt(1 + math.log(c.factor) / math.log(c.train_length)),
    ('factor', 'long_factor'),
  ),
)
