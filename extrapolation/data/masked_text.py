"""Masked tokens of a text: a task for encoders, read from both sides."""

import re
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from extrapolation.data.dataset import Dataset
from extrapolation.data.drawn import Drawn
from extrapolation.data.probes import generator
from extrapolation.data.tasks import Example, Task

if TYPE_CHECKING:
  from extrapolation.geometry import Size

PREFIX = 'masked:'  # of its source
SHARE = 0.15  # of all tokens, as in BERT
SIDE = 1 << 40  # numbers of the masks before a block, and twice it of behind


def split(source: str) -> tuple[float, str]:
  """The share of masked tokens, and the source of the text.

  >>> split('masked:sample'), split('masked:0.3*files:a.txt')
  ((0.15, 'sample'), (0.3, 'files:a.txt'))

  Raises:
    ValueError: a share outside (0, 1/2].
  """
  rest = source.removeprefix(PREFIX)
  written = re.fullmatch(r'([0-9.eE+-]+)\*(.*)', rest, re.DOTALL)
  if written is None:
    return SHARE, rest
  try:
    share = float(written[1])
  except ValueError:
    share = 0.0
  if not 0 < share <= 0.5:
    raise ValueError(
      f'{source}: {written[1]} is no share of tokens in (0, 0.5]; write '
      f'{PREFIX}0.15*SOURCE'
    )
  return share, written[2]


def of(source: str, share: float, text: Dataset) -> Drawn:
  """The tokens of a text, some of them masked by the id that ends documents.

  An example is a block of tokens with what is around it: a share of the block
  is masked and scored, and as much of the rest is masked and is not. A larger
  size shows more on both sides of the same block. Training draws blocks by the
  seed; block n of another split is its n-th, and after the last one the first.
  """
  task = Task(
    kind='masked',
    symbols=text.tokenizer.V,
    V=text.tokenizer.V,
    mask=text.tokenizer.eos,
    geometries=('both',),
    check=_checker(source, text),
    draw=_drawer(share, text),
    source='Devlin et al. 2019, arXiv 1810.04805, without random tokens',
    name='masked',
    label=source,
  )
  manifest = text.manifest | dict(source=source)
  return Drawn(text.folder, manifest, text.tokenizer, text.windows, _task=task)


def _checker(source: str, text: Dataset):
  least = min(len(text.tokens(split)) for split in text.manifest['splits'])

  def check(size: 'Size', within: 'Size') -> None:
    for n in (*size, *within):
      if len(size) != 1 or not 2 <= n <= least:
        raise ValueError(
          f'{source} has {least:,} tokens in its shortest split: a size is one '
          f'number from 2 to that, not {"x".join(map(str, size))}'
        )
    if size < within:
      raise ValueError(
        f'{source}: size {size[0]} does not contain {within[0]}, whose targets '
        'are scored at every size'
      )

  return check


def _drawer(share: float, text: Dataset):
  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> Example:
    tokens = text.tokens(stream)
    (n,), (w,) = size, within
    rng = generator(seed, stream, number)
    blocks = len(tokens) // w
    drawn = int(rng.integers(blocks))
    first = w * (drawn if stream == 'train' else number % blocks)
    start = min(max(first - (n - w) // 2, 0), len(tokens) - n)
    window = np.asarray(tokens[start : start + n]).astype(np.int32)
    before, behind = first - start, start + n - first - w
    scored = np.zeros(n, bool)
    chosen = rng.permutation(w)[: max(1, round(share * w))]
    scored[before + chosen] = True
    hidden = scored.copy()
    hidden[:before] = _mask(share, before, seed, stream, number + SIDE)[::-1]
    hidden[n - behind :] = _mask(share, behind, seed, stream, number + 2 * SIDE)
    return Example(
      np.where(hidden, text.tokenizer.eos, window).astype(np.int32),
      window,
      scored.astype(np.float32),
      np.full(n, np.nan, np.float32),
    )

  return draw


def _mask(
  share: float, n: int, seed: int, stream: str, number: int
) -> Bool[np.ndarray, ' n']:
  """Which of n tokens are hidden: the first of more are the same."""
  return generator(seed, stream, number).random(n) < share


def is_masked(source: str) -> bool:
  """Whether a source is a text whose tokens are masked."""
  return source.startswith(PREFIX)
