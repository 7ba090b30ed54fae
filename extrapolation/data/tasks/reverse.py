from extrapolation.data.tasks import base, strings


def make(symbols: int = 16) -> base.Task:
  r"""The string that the encoder reads, to be written backwards.

  source: x_0 .. x_{T-1}, each of `symbols` as likely. Targets: x_{T-1} .. x_0,
  so that target i is at time i of the clock `backward`. Optimum: 0.
  """
  return strings.task(
    'reverse',
    symbols,
    lambda targets: targets[::-1].copy(),
    'Ray Chowdhury and Caragea 2023, arXiv 2305.20019',
  )
