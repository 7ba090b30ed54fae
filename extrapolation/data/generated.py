"""A data set of examples alone: endless, drawn from a seed, on no disk."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from extrapolation.data import probes, tokenizers, without_text
from extrapolation.data.examples import Batch, Examples, tokenizer_of
from extrapolation.data.expected import Expected
from extrapolation.data.without_text import WithoutText

if TYPE_CHECKING:
  import grain

MOST = 1 << 40  # batches of an endless stream
DEFAULTS = dict(windows='contiguous', splits='names')  # the others are empty


def check_unused(source: str, options: Mapping[str, str]) -> None:
  """Raises ValueError for an option of texts that is not its default.

  A split may name the source itself, whose splits are streams of their own.
  """
  for name, value in options.items():
    if value not in ('', source, DEFAULTS.get(name)):
      raise ValueError(
        f'{source} is drawn as it is read, and takes no data.{name} = {value}; '
        'leave it as it is'
      )


def make(
  source: str, tokenizer: str, expect: Mapping[str, Any] | None = None
) -> 'Generated':
  """The data set of a source `probe:NAME[:KEY=VALUE..]`.

  tokenizer: 'bytes', which is the default and stands for the vocabulary of the
    probe, or the path of a saved one, whose tokens its symbols are read as.
  expect: manifest of the examples that it must draw.

  Raises:
    ValueError: no such probe, a tokenizer that lacks its symbols, or examples
      that are drawn otherwise than they were.
  """
  probe = probes.parse(source)
  own = tokenizer_of(probe)
  if tokenizer != 'bytes':
    given = tokenizers.given(tokenizer)
    if given is None:
      raise ValueError(
        f"{source} has a vocabulary of its own, not tokens of '{tokenizer}'; "
        'leave data.tokenizer = bytes'
      )
    own = given
  made = Generated.of(source, Examples.of(probe, own), own)
  if expect is not None:
    Expected.of(expect).check(made.manifest)
  return made


@dataclasses.dataclass(frozen=True, eq=False)
class Generated(WithoutText):
  """Examples of a probe in place of a text; only their answers count."""

  ASKED = (
    'draws examples and has no text to read; give another one with '
    '--source=.., or ask for its answers: evaluate'
  )
  _examples: Examples | None = None

  @classmethod
  def of(
    cls, source: str, examples: Examples, tokenizer: tokenizers.Tokenizer
  ) -> 'Generated':
    """A data set whose manifest says which generator draws it."""
    manifest = without_text.manifest(source, tokenizer, examples.digests)
    return cls(
      pathlib.Path(), manifest, tokenizer, 'contiguous', _examples=examples
    )

  @property
  def examples(self) -> tuple[Examples, ...]:
    assert self._examples is not None  # `of` gave them
    return (self._examples,)

  def batches(
    self,
    *,
    B: int,
    T: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
  ) -> 'grain.MapDataset':
    """Batch k holds examples k B .. k B + B - 1 of the seed, as a `Batch`."""
    (one,) = self.examples
    one.probe.check(T)
    rows = B // process_count

    def read(k: int) -> Batch:
      first = k * B + process_index * rows
      numbers = range(first, first + rows)
      return one.read(numbers, T, seed=seed, stream='train').batch

    return endless(read)

  def beginning(self, split: str, T: int, targets: int) -> Batch:
    """The first examples of a split, as many as `targets` tokens are long."""
    (one,) = self.examples
    return one.read(range(max(targets // T, 1)), T, stream=split).batch

  def summary(self, T: int = 0) -> str:
    """The probe, its vocabulary, its room, and one example of length T."""
    (one,) = self.examples
    return describe(one, T)


def describe(examples: Examples, T: int = 0) -> str:
  """What a probe asks: vocabulary, room and a drawn example."""
  probe = examples.probe
  T = T or max(64, probe.least_length)
  there = probe.distances(T)
  drawn = probes.example(probe, 0, T, stream='valid')
  text = probe.vocabulary.text(drawn.tokens)
  marked = ''.join('^' if w else ' ' for w in [0, *drawn.weights])
  step = f' in steps of {there.step}' if there.step > 1 else ''
  return '\n'.join([
    f'probe {probe.label}: {len(probe.vocabulary)} symbols '
    f'{probe.vocabulary.symbols}',
    f'      {len(probe.answers)} possible answers, so a guess is right in '
    f'{probe.chance:.2%}; shortest length {probe.least_length}',
    f'      at length {T:,} distances {there[0]:,} .. {there[-1]:,}{step}, for '
    f'example (^ is an answer, '
    f'at distance {", ".join(map(str, drawn.distance[drawn.weights > 0]))}):',
    f'      {text}',
    f'      {marked.rstrip()}',
  ])  # fmt: skip


def endless(read: Callable[[int], Any]) -> 'grain.MapDataset':
  """The stream whose element k is read(k)."""
  import grain

  return grain.MapDataset.range(MOST).map(read)
