from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(filler: int = 16) -> base.Probe:
  r"""Which bit is more frequent between `<` and `=`? A positive control.

      dcdnakh<01101=1

  One head that attends to all bits alike solves it. Their number is odd.
  filler: symbols in front. distance: from `=` to the first bit, as all of them
  must be read.
  """
  words = vocabulary.build('<=', filler=filler, bits='01')

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    bits = base.several(rng, words['bits'], distance)
    ones = int((bits == words['bits'][1]).sum())
    answer = words['bits'][2 * ones > distance]
    tokens = base.join(words.id('<'), bits, words.id('='), answer)
    return base.Core(tokens, [distance + 1], [distance])

  def oracle(tokens: Sequence[int]) -> int:
    bits = base.after(tokens, words.id('<'))[:-1]
    return max(words['bits'], key=bits.count)

  return base.Probe(
    vocabulary=words,
    answers=words['bits'],
    distances=lambda length: range(1, length - 1, 2),
    core=core,
    filler=base.noise(words['filler']),
    oracle=oracle,
    points=False,
    source='Huang et al. 2024, length generalization, arXiv 2410.02140',
  )
