from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(letters: int = 16, filler: int = 16) -> base.Probe:
  r"""A string between `<` and `=`, to be written in order: a positive control.

      dcdnakh<CAADB=AABCD

  Every letter of the second is an answer. letters: symbols of the string, each
  as likely. filler: symbols in front of it.
  distance: from the token before an answer to the first letter of the string,
  as all of it must be read: n .. 2 n - 1 for a string of n.
  """
  words = vocabulary.build('<=', filler=filler, letters=letters)

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    n = distance
    text = base.several(rng, words['letters'], n)
    tokens = base.join(words.id('<'), text, words.id('='), np.sort(text))
    return base.Core(tokens, n + 1 + np.arange(n), n + np.arange(n))

  def oracle(tokens: Sequence[int]) -> int:
    both = base.after(tokens, words.id('<'))
    n = both.index(words.id('='))
    return sorted(both[:n])[len(both) - n - 1]

  return base.Probe(
    vocabulary=words,
    answers=words['letters'],
    distances=lambda length: range(1, (length - 1) // 2 + 1),
    core=core,
    filler=base.noise(words['filler']),
    oracle=oracle,
    points=False,
    source='Huang et al. 2024, length generalization, arXiv 2410.02140',
  )
