"""What a clock must be, looked at before anything is trained with it."""

from extrapolation import clock
from extrapolation.parts import check as parts


def check(record: clock.Clock, H: int, T: int = parts.T) -> None:
  """Returns if none of T tokens lies before the one that precedes it.

  Raises:
    ValueError: increments that are negative, not finite, of another shape, or
      that depend on later tokens; names the file, the token and the head.
  """
  parts.check(
    clock.REGISTRY,
    record,
    'increments',
    lambda out: out >= 0,
    'a clock may not decrease: give a number >= 0, such as softplus of it',
    H,
    T,
  )
