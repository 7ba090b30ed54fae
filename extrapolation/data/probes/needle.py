from collections.abc import Sequence

import numpy as np

from extrapolation.data.probes import base, vocabulary


def make(values: int = 16, filler: int = 16, keys: int = 0) -> base.Probe:
  r"""One value among filler, asked for at the end: the cost of reach.

      cmbapdfagCeadnohbg?C       values=16: `?` asks for the only capital
      cmbapdfagC3Ceadnohb3C      keys=8: the key `3`, its value after it

  values: symbols that a value may be, each as likely. filler: symbols between.
  keys: 0 marks the value by its own alphabet, which one layer of attention
  finds; of any other number one stands before the value and is repeated as the
  query, which takes two layers (a token learns what stood before it, then the
  query finds that).
  distance: from the query to the value.
  """
  if values < 2:
    raise ValueError(f'values = {values}: probe needle needs 2 or more')
  if keys < 0:
    raise ValueError(f'keys = {keys}: probe needle needs 0 or more')
  named = dict(keys=keys) if keys else {}
  words = vocabulary.build(
    '' if keys else '?', filler=filler, values=values, **named
  )
  between = words['filler']

  def core(rng: np.random.Generator, distance: int) -> base.Core:
    value = base.one(rng, words['values'])
    query = base.one(rng, words['keys']) if keys else words.id('?')
    noise = base.several(rng, between, distance - 1)[::-1]
    tokens = base.join([query] if keys else [], value, noise, query, value)
    return base.Core(tokens, [len(tokens) - 2], [distance])

  def oracle(tokens: Sequence[int]) -> int:
    return next(x for x in reversed(tokens) if x in words['values'])

  return base.Probe(
    vocabulary=words,
    answers=words['values'],
    distances=lambda length: range(1, length - (keys > 0)),
    core=core,
    filler=base.noise(between),
    oracle=oracle,
    source='needle in a haystack, Kamradt 2023; marked as in RULER, '
    'arXiv 2404.06654',
  )
