from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(letters: int = 16, filler: int = 16) -> base.Probe:
  r"""A string between `<` and `=`, to be written backwards.

      dcdnakh<CAADB=BDAAC

  Every letter of the second is an answer. letters: symbols of the string, each
  as likely. filler: symbols in front of it.
  distance: from the token before an answer to that letter in the string: 1, 3,
  5 .. from answer to answer, 2 n - 1 for the last one of a string of n.
  """
  words = vocabulary.build('<=', filler=filler, letters=letters)

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    n = (distance + 1) // 2
    text = base.several(rng, words['letters'], n)
    tokens = base.join(words.id('<'), text, words.id('='), text[::-1])
    return base.Core(tokens, n + 1 + np.arange(n), 2 * np.arange(n) + 1)

  def oracle(tokens: Sequence[int]) -> int:
    both = base.after(tokens, words.id('<'))
    n = both.index(words.id('='))
    return both[2 * n - len(both)]

  return base.Probe(
    vocabulary=words,
    answers=words['letters'],
    distances=lambda length: range(1, 2 * ((length - 1) // 2), 2),
    core=core,
    filler=base.noise(words['filler']),
    oracle=oracle,
    source='Vasylenko et al. 2025, ASEntmax, arXiv 2506.16640',
  )
