import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base

SOURCE = 'Press et al. 2022, arXiv 2108.12409'


def make(H: int, *, slope: float = 0.0, sides: bool = False) -> base.RPE:
  r"""ALiBi: a straight line, bias_h(t) = -k_h t.

  >>> make(8).bias(jnp.arange(3), {})[0]  # k = 2^-1
  Array([-0. , -0.5, -1. ], dtype=float32)

  `sides`, for encoders: head h < H / 2 sees the keys before a query alone,
  head H / 2 + h those behind it, by the slopes of H / 2 heads.
  """
  if not sides:
    return base.scaled(H, lambda x: -x, SOURCE, slope)
  if H % 2:
    raise ValueError(
      f'H = {H}: alibi of two sides needs an even number of heads'
    )
  base.check_slope(slope)

  def bias(distance: Num[Array, ' d'], params: base.Params):
    del params
    k = base.steepness(H // 2, slope)
    t = distance.astype(jnp.float32)
    before = jnp.where(t >= 0, -k * t, -jnp.inf)
    behind = jnp.where(t <= 0, k * t, -jnp.inf)
    return jnp.concatenate([before, behind])

  return base.RPE(bias=bias, directed=True, source=SOURCE)
