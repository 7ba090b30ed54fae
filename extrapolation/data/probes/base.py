"""The record of a probe: pure functions that draw examples and answer them."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int32

from extrapolation.data.probes.vocabulary import Vocabulary

# Of random numbers, which have none in common; the last chooses sources.
STREAMS = ('train', 'valid', 'test', 'mixture')
NONE = -1  # distance where nothing is asked

Ids = Int[np.ndarray, ' n']


class Example(NamedTuple):
  """One sequence: inputs are tokens[:-1], targets tokens[1:].

  Attributes:
    tokens: ids.
    weights: 1 at targets that are answers, else 0.
    distance: of each answer, tokens from its query (the input that it is
      predicted at) back to the token that tells it; NONE elsewhere.
  """

  tokens: Int32[np.ndarray, ' T1']
  weights: Float32[np.ndarray, ' T']
  distance: Int32[np.ndarray, ' T']


class Core(NamedTuple):
  """The end of an example: all that its answers depend on, at any length.

  Attributes:
    tokens: ids.
    queries: positions in `tokens` after which an answer follows.
    distance: of each answer.
  """

  tokens: Ids
  queries: Sequence[int] | Ids
  distance: Sequence[int] | Ids


def uniform(u: float, distances: range) -> int:
  """The distance at quantile u in [0, 1): each is as likely."""
  return distances[int(u * len(distances))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
  """A task whose answers follow from its tokens: filler, then a core.

  A longer example has more filler in front and is the same otherwise.

  Attributes:
    vocabulary: at most 256 symbols; its group `filler` may come first.
    answers: ids that an answer may be; who guesses is right in 1 of these.
    distances: length -> those of the answers at this length, none if it has no
      room. Those of a length are there at any longer one.
    core: (generator, distance) -> the end, with an answer at that distance.
    filler: (generator, n, tokens of the core) -> n ids; those that it draws
      first come last, so that n more leave them where they were.
    oracle: tokens up to and with a query -> its answer, by a plain rule.
    points: whether the token at the distance is the answer; else it is the
      first of those that the answer is computed from.
    draw: (u in [0, 1), distances) -> one of them.
    source: paper. name, label: of its file, and with its hyperparameters.
  """

  vocabulary: Vocabulary
  answers: range
  distances: Callable[[int], range]
  core: Callable[[np.random.Generator, int], Core]
  filler: Callable[[np.random.Generator, int, Ids], Ids]
  oracle: Callable[[Sequence[int]], int]
  points: bool = True
  draw: Callable[[float, range], int] = uniform
  source: str = ''
  name: str = ''
  label: str = ''

  def labelled(self, label: str) -> 'Probe':
    """The same, called `NAME:KEY=VALUE..`."""
    return dataclasses.replace(self, label=label)

  @property
  def chance(self) -> float:
    """Accuracy of a uniform guess."""
    return 1 / len(self.answers)

  @functools.cached_property
  def least_length(self) -> int:
    """The shortest length that has room."""
    return next(n for n in itertools.count(1) if self.distances(n))

  def check(self, length: int, distance: int | None = None) -> None:
    """Raises ValueError unless a length has room, and has the distance."""
    if not (there := self.distances(length)):
      raise ValueError(
        f'probe {self.label or self.name} has no room at length {length}; it '
        f'needs {self.least_length} or more'
      )
    if distance is not None and distance not in there:
      step = f' in steps of {there.step}' if there.step > 1 else ''
      raise ValueError(
        f'probe {self.label or self.name} has no distance {distance} at length '
        f'{length}; there are {there[0]} .. {there[-1]}{step}'
      )

  def sample(
    self,
    rng: np.random.Generator,
    length: int,
    distance: int | None = None,
    within: int | None = None,
  ) -> Example:
    """An example of length + 1 tokens.

    Args:
      rng: of this example alone. Equal ones give the same answers, and with an
        equal `distance` or `within` the same core, at every length.
      distance: of the answers that count, all others have weight 0; None draws
        one of `distances(within)`, and all count.
      within: the length whose distances are drawn, `length` if None.

    Raises:
      ValueError: a length without room, or a distance that it does not have.
    """
    within = length if within is None else min(within, length)
    self.check(within if distance is None else length, distance)
    u = rng.random()  # also where it is not used: the rest is the same then
    chosen = distance
    if chosen is None:
      chosen = self.draw(u, self.distances(within))
    core = self.core(rng, chosen)
    n = length + 1 - len(core.tokens)
    tokens = np.empty(length + 1, np.int32)
    tokens[:n] = self.filler(rng, n, core.tokens)
    tokens[n:] = core.tokens
    at, far = np.asarray(core.queries), np.asarray(core.distance)
    if distance is not None:
      at, far = at[far == distance], far[far == distance]
    weights = np.zeros(length, np.float32)
    distances = np.full(length, NONE, np.int32)
    weights[n + at], distances[n + at] = 1, far
    return Example(tokens, weights, distances)


def example(
  probe: Probe,
  n: int,
  length: int,
  *,
  seed: int = 0,
  stream: str = 'test',
  distance: int | None = None,
  within: int | None = None,
) -> Example:
  """Example number n of a stream; the arguments are those of `Probe.sample`."""
  rng = generator(seed, stream, n)
  return probe.sample(rng, length, distance, within)


def generator(seed: int, stream: str, n: int) -> np.random.Generator:
  """The random numbers of example n of a stream, 0 <= seed < 2^32."""
  key = np.array([seed | STREAMS.index(stream) << 32, n], np.uint64)
  return np.random.Generator(np.random.Philox(key=key))


def one(rng: np.random.Generator, ids: range) -> int:
  """An id of a group, each as likely."""
  return int(rng.integers(ids.start, ids.stop))


def several(rng: np.random.Generator, ids: range, n: int) -> Ids:
  """n ids of a group, each as likely."""
  return rng.integers(ids.start, ids.stop, n)


def noise(ids: range) -> Callable[[np.random.Generator, int, Ids], Ids]:
  """A `Probe.filler` that draws each token from a group."""

  def filler(rng: np.random.Generator, n: int, core: Ids) -> Ids:
    del core
    return several(rng, ids, n)[::-1]

  return filler


def join(*parts: int | Sequence[int] | Ids) -> Ids:
  """Ids one after another."""
  return np.concatenate([np.atleast_1d(np.asarray(p, int)) for p in parts])


def after(tokens: Sequence[int], mark: int) -> list[int]:
  """The tokens behind the last `mark`."""
  tokens = list(tokens)
  return tokens[len(tokens) - tokens[::-1].index(mark) :]
