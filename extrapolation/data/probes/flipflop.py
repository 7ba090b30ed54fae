import math
from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(p: float = 0.8) -> base.Probe:
  r"""Which bit was written last? Attention that must be hard, to what is near.

      i0i1w1i0r1i1i1r1      p=0.8

  Pairs of an instruction and a bit: `w` writes it, `i` is to be ignored, and
  `r` reads, so the bit after it is an answer: that of the last `w`. p: share of
  `i`; the others are as likely as each other. Reads before the last `w` are
  left out, so that more text in front changes nothing.
  distance: from `r` to the bit that was written last, which is odd; that of an
  example is the last read's, drawn as the language has it.
  """
  if not 0 <= p < 1:
    raise ValueError(f'p = {p}: probe flipflop needs 0 <= p < 1')
  words = vocabulary.build('wir', filler='01')
  bits = words['filler']
  w, i, r = (words.id(mark) for mark in 'wir')
  write = (1 - p) / 2  # share of w, and of r

  def draw(u: float, distances: range) -> int:
    # Pairs between the write and the read that are no w: a geometric number.
    most = -math.expm1(len(distances) * math.log1p(-write))
    n = int(math.log1p(-u * most) / math.log1p(-write))
    return distances[min(n, len(distances) - 1)]

  def paired(
    rng: np.random.Generator, n: int, share: float, other: int
  ) -> tuple[base.Ids, base.Ids]:
    """n instructions, `other` with this share, else i; and bits."""
    numbers = rng.random((n, 2))[::-1]
    marks = np.where(numbers[:, 0] < share, other, i)
    return marks, bits[0] + (numbers[:, 1] < 0.5)

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    bit = base.one(rng, bits)
    n = (distance - 1) // 2
    marks, others = paired(rng, n, write / (1 - write), r)
    marks, others = np.append(marks, r), np.append(others, bit)
    others[marks == r] = bit
    reads = 2 + 2 * np.flatnonzero(marks == r)
    tokens = base.join(w, bit, np.stack([marks, others], 1).ravel())
    return base.Core(tokens, reads, reads - 1)

  def filler(rng: np.random.Generator, n: int, core: base.Ids) -> base.Ids:
    del core
    pairs = paired(rng, -(-n // 2), write, w)
    return np.stack(pairs, 1).ravel()[-n:] if n else np.empty(0, int)

  def oracle(tokens: Sequence[int]) -> int:
    return base.after(tokens, w)[0]

  return base.Probe(
    vocabulary=words,
    answers=bits,
    distances=lambda length: range(1, length - 1, 2),
    core=core,
    filler=filler,
    oracle=oracle,
    draw=draw,
    source='Liu et al. 2023, flip-flop language, arXiv 2306.00946',
  )
