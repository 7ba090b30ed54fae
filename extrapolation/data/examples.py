"""Examples of a probe as batches, in the tokens that a model reads."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from extrapolation.data import probes, tokenizers

DIGESTED = 64  # examples that say which generator made them


class Batch(NamedTuple):
  """What a training step reads where only some targets count.

  Attributes:
    tokens: inputs are [:, :-1], targets [:, 1:].
    weights: 1 at targets that are answers, else 0.
  """

  tokens: Int32[np.ndarray, 'b T1']
  weights: Float32[np.ndarray, 'b T']


class Answers(NamedTuple):
  """Examples of equal length, with the distance of each of their answers."""

  tokens: Int32[np.ndarray, 'b T1']
  weights: Float32[np.ndarray, 'b T']
  distance: Int32[np.ndarray, 'b T']

  @property
  def batch(self) -> Batch:
    """The part that a step reads."""
    return Batch(self.tokens, self.weights)


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """A probe whose vocabulary is written in the tokens of a tokenizer.

  Attributes:
    probe: draws them.
    ids: token of each id of the probe's vocabulary.
  """

  probe: probes.Probe
  ids: Int32[np.ndarray, ' v']

  @classmethod
  def of(
    cls, probe: probes.Probe, tokenizer: tokenizers.Tokenizer
  ) -> 'Examples':
    """Each symbol as the token of that character, so in bytes as its ASCII.

    Raises:
      ValueError: a symbol is no token of its own there.
    """
    ids = []
    for symbol in probe.vocabulary.symbols:
      try:
        written = tokenizer.encode(symbol).tolist()
      except ValueError:
        written = []
      if len(written) != 1 or written[0] in ids:
        raise ValueError(
          f'probe {probe.label}: its symbol {symbol!r} is not one token of '
          f'{tokenizer.name}; give its groups fewer symbols (those of ASCII '
          'are bytes), or take a run with the vocabulary of the probe'
        )
      ids += written
    return cls(probe, np.array(ids, np.int32))

  @property
  def answers(self) -> Int32[np.ndarray, ' a']:
    """The tokens that an answer may be."""
    return self.ids[list(self.probe.answers)]

  def read(
    self,
    numbers: Iterable[int],
    length: int,
    *,
    stream: str,
    seed: int = 0,
    distance: int | None = None,
    within: int | None = None,
  ) -> Answers:
    """Examples of these numbers, of length + 1 tokens; as `Probe.sample`.

    Raises:
      ValueError: a length without room, or a distance that it does not have.
    """
    drawn = [
      probes.example(
        self.probe, n, length,
        seed=seed, stream=stream, distance=distance, within=within,
      )
      for n in numbers
    ]  # fmt: skip
    if not drawn:
      return Answers(
        np.zeros((0, length + 1), np.int32),
        np.zeros((0, length), np.float32),
        np.zeros((0, length), np.int32),
      )
    tokens, weights, far = map(np.stack, zip(*drawn, strict=True))
    return Answers(self.ids[tokens], weights, far)

  @functools.cached_property
  def digests(self) -> dict[str, str]:
    """sha256 of the first examples by stream: another generator, another."""
    length, out = self.probe.least_length + 100, {}
    for stream in ('train', 'valid', 'test'):
      some = self.read(range(DIGESTED), length, stream=stream)
      content = some.tokens.astype('<i4').tobytes() + some.weights.tobytes()
      out[stream] = hashlib.sha256(content).hexdigest()
    return out


def tokenizer_of(probe: probes.Probe) -> tokenizers.Tokenizer:
  """The vocabulary of a probe as a tokenizer; a prompt begins with filler."""
  words = probe.vocabulary
  return tokenizers.symbols.make(words.symbols, words['filler'].start)
