from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(letters: int = 16, filler: int = 16) -> base.Probe:
  r"""A string between `<` and `=`, to be written again: a moving pointer.

      dcdnakh<CAADB=CAADB

  Every letter of the copy is an answer. letters: symbols of the string, each
  as likely, so that they repeat. filler: symbols in front of it.
  distance: from the token before a letter of the copy to that letter in the
  string, which is the length of the string.
  """
  words = vocabulary.build('<=', filler=filler, letters=letters)

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    text = base.several(rng, words['letters'], distance)
    tokens = base.join(words.id('<'), text, words.id('='), text)
    queries = distance + 1 + np.arange(distance)
    return base.Core(tokens, queries, np.full(distance, distance))

  def oracle(tokens: Sequence[int]) -> int:
    both = base.after(tokens, words.id('<'))
    n = both.index(words.id('='))
    return both[len(both) - n - 1]

  return base.Probe(
    vocabulary=words,
    answers=words['letters'],
    distances=lambda length: range(1, (length - 1) // 2 + 1),
    core=core,
    filler=base.noise(words['filler']),
    oracle=oracle,
    source='Jelassi et al. 2024, Repeat After Me, arXiv 2402.01032',
  )
