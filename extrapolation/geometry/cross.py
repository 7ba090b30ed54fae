from jaxtyping import Array, Num

from extrapolation.geometry import base, both, line

CLOCKS = 'forward', 'backward'


def make(clock: str = 'forward') -> base.Geometry:
  r"""Positions of a decoder against those of an encoder, on a clock of both.

  The decoder's position i is at time i. The encoder's position j of S is at
  time j on the clock `forward`, and at S - 1 - j on `backward`, on which what
  is read last is written first. The distance is the difference of times, and
  every query sees every key.
  """
  if clock not in CLOCKS:
    raise ValueError(f'clock = {clock!r}; there are: {", ".join(CLOCKS)}')

  def of_keys(size: base.Size):
    times = line.positions(size)
    return times[::-1].copy() if clock == 'backward' else times

  def distance(
    query: Num[Array, '*q c'], key: Num[Array, '*k c']
  ) -> Num[Array, '*t']:
    return abs(query[..., 0] - key[..., 0])

  return base.Geometry(
    axes=('length',),
    places=line.positions,
    key_places=of_keys,
    distance=distance,
    longest=lambda size: size[0] - 1,
    shift_invariant=True,
    log_count=both.log_count,
    query=lambda size: size[0] // 2,
    source='a position of its own for cross-attention, as in arXiv 2305.20019',
  )
