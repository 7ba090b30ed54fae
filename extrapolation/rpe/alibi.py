from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""ALiBi: a straight line, bias_h(t) = -k_h t."""
  return base.scaled(H, lambda x: -x, 'Press et al. 2022, arXiv 2108.12409')
