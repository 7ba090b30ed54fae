import math

import jax.numpy as jnp

from extrapolation.rpe import base


def make(H: int, floor: float = 1e-6, *, slope: float = 0.0) -> base.RPE:
  r"""ALiBi above a floor: bias_h(t) = ln(exp(-k_h t) + floor).

  Divergent, but near: no weight is ever below `floor`, so their sum is
  infinite, yet at 10^4 tokens the floor holds 1 % of one token's weight. With
  `exp_sqrt` and `power`, convergent but far, it separates divergence from
  distance.
  """
  if not 0 < floor < 1:
    raise ValueError(f'floor = {floor}: a weight in (0, 1)')
  return base.scaled(
    H,
    lambda x: jnp.logaddexp(-x, math.log(floor)),
    'a control of this project, after Press et al. 2022, arXiv 2108.12409',
    slope,
  )
