"""What a heat must be, looked at before anything is trained with it."""

from extrapolation import heat
from extrapolation.parts import check as parts


def check(record: heat.Heat, H: int, T: int = parts.T) -> None:
  """Returns if the logits of T tokens are scaled by numbers > 0.

  Raises:
    ValueError: scales that are not positive, not finite, of another shape, or
      that depend on later tokens; names the file, the token and the head.
  """
  parts.check(
    heat.REGISTRY,
    record,
    'scale',
    lambda out: out > 0,
    'a heat must be > 0: give exp or softplus of it',
    H,
    T,
  )
