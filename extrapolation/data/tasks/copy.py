import numpy as np

from extrapolation.data.tasks import base, strings


def make(symbols: int = 16) -> base.Task:
  r"""The string that the encoder reads, to be written again.

  source: x_0 .. x_{T-1}, each of `symbols` as likely. Targets: the same, so
  that target i is at time i of the clock `forward`. Optimum: 0.
  """
  return strings.task(
    'copy', symbols, np.copy, 'Ray Chowdhury and Caragea 2023, arXiv 2305.20019'
  )
