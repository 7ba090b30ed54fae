import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base


def make(H: int, share: float = 0.5) -> base.RPE:
  r"""Hard ALiBi: head h sees t < h for h <= share H, every key beyond (NoPE).

  bias_h(t) = 0 for what it sees, -inf elsewhere.

  >>> make(4).bias(jnp.arange(3), {})[:3]
  Array([[  0., -inf, -inf],
         [  0.,   0., -inf],
         [  0.,   0.,   0.]], dtype=float32)
  """
  if not 0 <= share <= 1:
    raise ValueError(
      f'share = {share}: hard_alibi needs a part of heads, 0 to 1'
    )

  def bias(distance: Num[Array, ' d'], params: base.Params):
    del params
    h = jnp.arange(1, H + 1, dtype=jnp.float32)
    width = jnp.where(h <= share * H, h, jnp.inf)[:, None]
    return jnp.where(distance < width, jnp.float32(0), -jnp.inf)

  return base.RPE(bias=bias, source='Jelassi et al. 2024, arXiv 2402.01032')
