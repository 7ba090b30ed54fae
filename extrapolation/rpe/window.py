import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base


def make(H: int, width: int = 128) -> base.RPE:
  r"""Hard window: bias(t) = 0 for t < width, -inf beyond (the null model).

  >>> make(1, width=2).bias(jnp.arange(3), {})
  Array([[  0.,   0., -inf]], dtype=float32)
  """
  if not 1 <= width < 1 << 31:  # a distance is an int32
    raise ValueError(
      f'width = {width}: a window needs at least 1 token, at most 2^31 - 1'
    )

  def bias(distance: Num[Array, ' d'], params: base.Params):
    del params
    row = jnp.where(distance < width, jnp.float32(0), -jnp.inf)
    return jnp.broadcast_to(row, (H, distance.shape[0]))

  return base.RPE(bias=bias, source='Qin et al. 2024, hypothesis of section 3')
