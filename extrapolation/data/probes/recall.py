from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(
  pairs: int = 8, keys: int = 16, values: int = 16, filler: int = 16
) -> base.Probe:
  r"""Multi-query associative recall: reach where others interfere.

      dn3A0C7BcmbapdfagC0C7B3A      pairs=3

  Pairs of a key and its value, filler, and every key again in another order:
  the value after it is an answer. pairs: of a sequence, with different keys.
  keys, values, filler: symbols of each.
  distance: from a repeated key to its value in the pairs; that of an example
  is the last query's.
  """
  if values < 2:
    raise ValueError(f'values = {values}: probe recall needs 2 or more')
  if not 1 <= pairs <= keys:
    raise ValueError(
      f'pairs = {pairs}: probe recall needs 1 or more, and as many keys, which '
      f'are {keys}'
    )
  words = vocabulary.build(filler=filler, values=values, keys=keys)
  D = pairs

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    chosen = rng.permutation(words['keys'])[:D]
    told = base.several(rng, words['values'], D)
    order = rng.permutation(D)
    gap = distance - (4 * D - 3 - 2 * int(order[-1]))
    between = base.several(rng, words['filler'], gap)[::-1]
    both = np.stack([chosen, told], 1)
    tokens = base.join(both.ravel(), between, both[order].ravel())
    queries = 2 * D + gap + 2 * np.arange(D)
    return base.Core(tokens, queries, queries - (2 * order + 1))

  def oracle(tokens: Sequence[int]) -> int:
    return tokens[list(tokens).index(tokens[-1]) + 1]

  return base.Probe(
    vocabulary=words,
    answers=words['values'],
    distances=lambda length: range(4 * D - 3, length - 2 * D + 1),
    core=core,
    filler=base.noise(words['filler']),
    oracle=oracle,
    source='Arora et al. 2023, Zoology (MQAR), arXiv 2312.04927',
  )
