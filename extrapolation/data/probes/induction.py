from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(letters: int = 16) -> base.Probe:
  r"""What followed the last token when it came before? Two layers' work.

      adbbnkcfpodeaaboocf

  A letter occurs twice, here `c`; the answer is the one that followed it, here
  `f`. letters: symbols of all tokens, each as likely.
  distance: from the second `c` to the `f` behind the first.
  """
  if letters < 3:
    raise ValueError(f'letters = {letters}: probe induction needs 3 or more')
  words = vocabulary.build(filler=letters)
  every = words['filler']

  def others(rng: np.random.Generator, n: int, letter: int) -> base.Ids:
    drawn = base.several(rng, every[:-1], n)
    return drawn + (drawn >= letter)

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    letter = base.one(rng, every)
    after, *between = others(rng, distance, letter).tolist()
    tokens = base.join(letter, after, between[::-1], letter, after)
    return base.Core(tokens, [len(tokens) - 2], [distance])

  def filler(rng: np.random.Generator, n: int, core: base.Ids) -> base.Ids:
    return others(rng, n, int(core[0]))[::-1]

  def oracle(tokens: Sequence[int]) -> int:
    return tokens[list(tokens).index(tokens[-1]) + 1]

  return base.Probe(
    vocabulary=words,
    answers=every,
    distances=lambda length: range(1, length - 1),
    core=core,
    filler=filler,
    oracle=oracle,
    source='Olsson et al. 2022, induction heads, arXiv 2209.11895',
  )
