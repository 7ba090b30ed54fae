import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""A straight line of slope 1 in every head, bias(t) = -t.

  For clocks that carry their own scale: with `forget` it is FoX, with `cable`
  CABLE. By itself it is ALiBi of slope 1.

  >>> import jax.numpy as jnp
  >>> make(1).bias(jnp.arange(3), {})
  Array([[-0., -1., -2.]], dtype=float32)
  """

  def bias(distance: Num[Array, ' d'], params: base.Params):
    del params
    return -jnp.ones((H, 1), jnp.float32) * distance.astype(jnp.float32)

  return base.RPE(bias=bias, source='Lin et al. 2025, arXiv 2503.02130')
