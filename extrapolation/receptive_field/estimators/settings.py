"""What is measured: the flags of the command, checked before any computing."""

import dataclasses
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from extrapolation.theory import trf_bounds

OUTPUTS = ('logit', 'loss')
LEAST = dict(
  length=2, tokens=1, queries=0, recomputed=0, batch_tokens=1, resamples=1,
  seed=0,
)  # fmt: skip

MOST = dict(  # far beyond what any machine measures
  length=1 << 26, tokens=1 << 40, queries=1 << 26, recomputed=1 << 26,
  batch_tokens=1 << 31, resamples=10**6, seed=(1 << 32) - 1,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """Attributes, lengths and distances in tokens.

  length: keys that the query of a window has: its own and those before; of an
    encoder how many distances its shape has.
  size: of an encoder, whose examples are the windows; '' of a decoder.
  tokens: of text to measure on, in windows of `length` that do not overlap; or
    places, in examples.
  eps: shares in (0, 1), as text; a field holds all but eps.
  nats: a context within so many nats of the full one is as good as it.
  queries: the last so many of each window, for attention mass; 0 is
    length / 64, at least 1. Each has its own number of keys. Of an encoder,
    targets of each example; 0 is 8.
  output: what is differentiated, the likeliest token's `logit` or the `loss`.
  recomputed: windows, evenly spaced, on which truncation and perturbation run
    the model anew, many times; 0 is all.
  resamples: of the bootstrap; intervals hold the middle 95 %.
  """

  length: int
  size: str = ''
  tokens: int = 65_536
  split: str = 'test'
  eps: tuple[str, ...] = ('0.1', '0.01')
  nats: float = 0.01
  queries: int = 0
  output: str = 'logit'
  recomputed: int = 64
  batch_tokens: int = 2048
  resamples: int = 500
  seed: int = 0

  def __post_init__(self):
    if not self.eps:
      raise ValueError('--eps is empty: give one or more shares in (0, 1)')
    if len(self.eps) > 64:
      raise ValueError(f'--eps: {len(self.eps)} shares; needs at most 64')
    _ = self.shares
    for name, least in LEAST.items():
      value = getattr(self, name)
      if not isinstance(value, int) or value < least:
        raise ValueError(f'--{name}={value}: needs a whole number >= {least}')
      if value > MOST[name]:
        raise ValueError(f'--{name}={value}: needs <= {MOST[name]}')
    if not 0 < self.nats < float('inf'):
      raise ValueError(f'--nats={self.nats}: needs a number > 0')
    if not self.size and self.queries > self.length:
      raise ValueError(
        f'--queries={self.queries}: a window has {self.length} (--length)'
      )
    if self.output not in OUTPUTS:
      raise ValueError(
        f'--output={self.output}: there are: {", ".join(OUTPUTS)}'
      )

  @property
  def shares(self) -> list[Fraction]:
    """`eps` as exact numbers."""
    return [trf_bounds.share(e) for e in self.eps]

  @property
  def Q(self) -> int:
    """Queries of a window whose attention is read."""
    return self.queries or max(1, self.length // 64)

  @property
  def B(self) -> int:
    """Windows computed at once."""
    return max(1, self.batch_tokens // self.length)


def starts(
  total: int,
  length: int,
  tokens: int,
  documents: Int[np.ndarray, ' d'] | None = None,
) -> Int[np.ndarray, ' W']:
  """Where windows begin, spread over a text of `total` tokens.

  Window i is tokens[start : start + length], and the target of its last query
  is the token after. They do not overlap.

  Args:
    documents: offsets; then each window lies with its target within one.

  Raises:
    ValueError: no window fits; names what would.
  """
  longest = total - 1
  if documents is not None:
    longest = int(np.diff(documents).max(initial=0)) - 1
  if length > longest:
    what = 'the text' if documents is None else 'every document'
    raise ValueError(
      f'--length={length} is longer than {what}: {max(longest, 0)} is the '
      'longest possible'
    )
  if tokens < length:
    raise ValueError(
      f'--tokens={tokens} is less than one window of --length={length}; raise '
      f'it to {length} or more'
    )
  if documents is not None:
    each = (np.diff(documents) - 1) // length
    first = np.repeat(documents[:-1], np.maximum(each, 0))
    order = np.concatenate([np.arange(n) for n in each if n > 0])
    every = first + length * order
    W = min(tokens // length, len(every))
    return every[np.linspace(0, len(every) - 1, W).astype(np.int64)]
  W = min(tokens, total - 1) // length
  room = total - 1 - length
  return np.linspace(0, room, W).astype(np.int64) if W > 1 else np.zeros(1, int)
