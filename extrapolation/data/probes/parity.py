from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(filler: int = 16) -> base.Probe:
  r"""Is the number of ones between `<` and `=` odd? A negative control.

      dcdnakh<01101=1

  No transformer of this kind learns it for all lengths. filler: symbols in
  front. distance: from `=` to the first bit, as all of them must be read.
  """
  words = vocabulary.build('<=', filler=filler, bits='01')

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    bits = base.several(rng, words['bits'], distance)
    odd = (bits - words['bits'][0]).sum() % 2
    answer = words['bits'][int(odd)]
    tokens = base.join(words.id('<'), bits, words.id('='), answer)
    return base.Core(tokens, [distance + 1], [distance])

  def oracle(tokens: Sequence[int]) -> int:
    ones = base.after(tokens, words.id('<')).count(words['bits'][1])
    return words['bits'][ones % 2]

  return base.Probe(
    vocabulary=words,
    answers=words['bits'],
    distances=lambda length: range(1, length - 1),
    core=core,
    filler=base.noise(words['filler']),
    oracle=oracle,
    points=False,
    source='Huang et al. 2024, length generalization, arXiv 2410.02140',
  )
