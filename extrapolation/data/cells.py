"""Examples of a task as a batch."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32


class Cells(NamedTuple):
  """What a step reads of a task, for `tasks.Example` with rows."""

  inputs: Int32[np.ndarray, 'b T']
  targets: Int32[np.ndarray, 'b t']
  weights: Float32[np.ndarray, 'b t']
  source: Int32[np.ndarray, 'b S'] | None = None
