"""Which places are masked, and which of these are scored."""

import numpy as np
from jaxtyping import Bool, Float, Integer

from extrapolation.data.tasks import base

NEVER = 2.0  # order of a place that is not masked


def example(
  *,
  ids: Integer[np.ndarray, ' T'],
  order: Float[np.ndarray, ' T'],
  share: float,
  inside: Bool[np.ndarray, ' T'],
  nats: Float[np.ndarray, ' T'],
  mask: int,
) -> base.Example:
  """The example whose places of order below a share are masked.

  Args:
    order: uniform in [0, 1), or NEVER.
    inside: where masked places are scored. If there is none, that of least
      order is masked there, so that every example has a target.
    nats: of the optimum.
    mask: id of what is masked.
  """
  masked = order < share
  scored = masked & inside
  if not scored.any():
    least = np.where(inside, order, np.inf).argmin()
    scored[least] = masked[least] = True
  return base.Example(
    np.where(masked, mask, ids).astype(np.int32),
    ids.astype(np.int32),
    scored.astype(np.float32),
    np.where(scored, nats, np.nan).astype(np.float32),
  )
