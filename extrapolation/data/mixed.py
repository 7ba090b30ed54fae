"""Text and examples of probes in one stream of training sequences."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from extrapolation.data import packed, probes, tokenizers
from extrapolation.data.dataset import Dataset
from extrapolation.data.examples import Batch, Examples
from extrapolation.data.expected import Expected
from extrapolation.data.generated import describe, endless
from extrapolation.data.sources import FORMS, weighted

if TYPE_CHECKING:
  import grain

_CLOSE = 1e-6  # of a sum of weights to 1

Weighted = list[tuple[float, probes.Probe]]


def has_probe(source: str) -> bool:
  """Whether a source is a mixture with a probe in it."""
  return source.startswith('mix:') and any(
    text.startswith(probes.PREFIX) for _, text in weighted(source)
  )


def of_text(expect: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
  """The manifest of the text, from that of a mixture; {} if it has none."""
  return None if expect is None else expect.get('text', {})


def split(source: str, tokenizer: str) -> tuple[Weighted, str]:
  """The weighted probes of a mixture, and the source of its text.

  All that can be wrong with the probes is found here, before a text is read.

  >>> [(weight, probe)], text = split('mix:0.2*probe:needle+0.8*sample', 'bpe')
  >>> weight, probe.label, text
  (0.2, 'needle', 'sample')

  Raises:
    ValueError: a part without a weight, weights that do not sum to 1, no text,
      no such probe, or a tokenizer that lacks its symbols.
  """
  parts = weighted(source)
  asked = [(w, text) for w, text in parts if text.startswith(probes.PREFIX)]
  rest = [(w, text) for w, text in parts if not text.startswith(probes.PREFIX)]
  for _, text in asked:
    if '+' in text:
      unknown = text.partition('+')[2]
      raise ValueError(f'{source}: no source {unknown!r}; write {FORMS}')
  if lacking := [text for weight, text in parts if not weight]:
    raise ValueError(
      f'{source}: {lacking[0]} has no weight; beside a probe every part needs '
      'one, its share of the sequences'
    )
  total = sum(weight for weight, _ in parts)
  if abs(total - 1) > _CLOSE:
    raise ValueError(
      f'{source}: its weights sum to {total:g}; they are shares of the '
      'sequences, so make them sum to 1'
    )
  if not rest:
    raise ValueError(
      f'{source} has probes alone; a mixture needs a text, such as sample'
    )
  drawn = [(w, probes.parse(text)) for w, text in asked]
  if given := tokenizers.given(tokenizer):
    for _, probe in drawn:
      Examples.of(probe, given)
  if len(rest) == 1:
    return drawn, rest[0][1]
  return drawn, 'mix:' + '+'.join(f'{w!r}*{text}' for w, text in rest)


@dataclasses.dataclass(frozen=True, eq=False)
class Mixed(Dataset):
  """A text, and probes that take the place of some of its sequences.

  A sequence is of probe i with probability weights[i], drawn from the seed, and
  then only its answers count; all targets of the others do.
  """

  text: Dataset | None = None
  weights: tuple[float, ...] = ()
  _examples: tuple[Examples, ...] = ()

  @classmethod
  def of(
    cls,
    source: str,
    asked: Weighted,
    text: Dataset,
    expect: Mapping[str, Any] | None = None,
  ) -> 'Mixed':
    """Probes in the tokens of a text; `expect` as in `generated.make`.

    Raises:
      ValueError: no such probe, a tokenizer that lacks its symbols, or examples
        that are drawn otherwise than they were.
    """
    examples = tuple(Examples.of(probe, text.tokenizer) for _, probe in asked)
    splits = {}
    for name, record in text.manifest['splits'].items():
      parts = [record['tokens_sha256']]
      for (weight, _), one in zip(asked, examples, strict=True):
        parts += [repr(weight), one.digests[name]]
      digest = hashlib.sha256(' '.join(parts).encode()).hexdigest()
      splits[name] = record | dict(tokens_sha256=digest)
    manifest = text.manifest | dict(
      source=source,
      splits=splits,
      probes=[dict(probe=probe.label, weight=w) for w, probe in asked],
      text=text.manifest,
    )
    if expect is not None:
      Expected.of(expect).check(manifest)
    return cls(
      text.folder,
      manifest,
      text.tokenizer,
      text.windows,
      text=text,
      weights=tuple(w for w, _ in asked),
      _examples=examples,
    )

  @property
  def examples(self) -> tuple[Examples, ...]:
    return self._examples

  @property
  def _text(self) -> Dataset:
    assert self.text is not None  # `of` gave it
    return self.text

  def batches(
    self,
    *,
    B: int,
    T: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
  ) -> 'grain.MapDataset':
    """Batch k: that of the text, with examples in place of some rows."""
    text = self._text.batches(
      B=B, T=T, seed=seed,
      process_index=process_index, process_count=process_count,
    )  # fmt: skip
    for one in self.examples:
      one.probe.check(T)
    rows = B // process_count
    first = process_index * rows
    shares = np.cumsum(self.weights)

    def read(k: int) -> Batch | packed.Batch:
      u = probes.generator(seed, 'mixture', k).random(B)[first : first + rows]
      chosen = np.searchsorted(shares, u, side='right')
      number = k * B + first + np.arange(rows)
      return self._with(
        text[k], chosen, [number[chosen == i] for i in range(len(shares))], T,
        seed, 'train',
      )  # fmt: skip

    return endless(read)

  def beginning(self, split: str, T: int, targets: int) -> Any:
    """That of the text, followed by examples in their share of sequences."""
    some = self._text.beginning(split, T, targets)
    n = len(some[0]) if isinstance(some, tuple) else len(some)
    if not n:
      return some
    counts = [max(round(n * w / (1 - sum(self.weights))), 1)
              for w in self.weights]  # fmt: skip
    extra = np.repeat(np.arange(len(counts)), counts)
    chosen = np.concatenate([np.full(n, len(counts)), extra])
    whole = [np.concatenate([x, np.zeros((len(extra), *x.shape[1:]), x.dtype)])
             for x in _complete(some)]  # fmt: skip
    return self._with(
      _batch(whole), chosen, [np.arange(c) for c in counts], T, 0, split
    )

  def _with(
    self,
    batch: Any,
    chosen: Int[np.ndarray, ' b'],
    numbers: Sequence[Int[np.ndarray, ' c']],
    T: int,
    seed: int,
    stream: str,
  ) -> Batch | packed.Batch:
    """A batch with rows of probe i where chosen == i."""
    tokens, weights, *documents = map(np.array, _complete(batch))
    for i, one in enumerate(self.examples):
      where = np.flatnonzero(chosen == i)
      some = one.read(numbers[i].tolist(), T, seed=seed, stream=stream)
      tokens[where], weights[where] = some.tokens, some.weights
      for x in documents:
        x[where] = 0
    return _batch([tokens.astype(np.int32), weights, *documents])

  def summary(self, T: int = 0) -> str:
    """That of the text, and of each probe."""
    lines = [self._text.summary(T)]
    for weight, one in zip(self.weights, self.examples, strict=True):
      lines.append(f'{weight:.1%} of the sequences are of')
      lines.append(describe(one, T))
    return '\n'.join(lines)


def _complete(batch: Any) -> tuple[np.ndarray, ...]:
  """Tokens and weights, and documents where they count."""
  if isinstance(batch, tuple):
    return batch
  return batch, np.ones((batch.shape[0], batch.shape[1] - 1), np.float32)


def _batch(arrays: Sequence[np.ndarray]) -> Batch | packed.Batch:
  return (packed.Batch if len(arrays) == 3 else Batch)(*arrays)
