import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base


def rotation(x: base.QK, positions: Num[Array, ' T'], base_period: float):
  """x [B, T, H, K] turned by position * base_period^(-2 (m - 1) / K), float32.

  Dimension m is paired with m + K/2.
  """
  K = x.shape[-1]
  if K % 2:
    raise ValueError(f'head width K = {K}: a rotation needs an even one')
  w = base_period ** (-jnp.arange(0, K, 2, dtype=jnp.float32) / K)
  angle = positions.astype(jnp.float32)[:, None] * w
  cos, sin = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def make(H: int, base_period: float = 10000.0) -> base.RPE:
  r"""RoPE: each pair m of q and of k turns by the angle n w_m at position n.

  w_m = base_period^(-2 (m - 1) / K), so q.k depends on differences alone.
  """

  def rotate(q: base.QK, k: base.QK, positions: Num[Array, ' T']):
    turned = (rotation(x, positions, base_period) for x in (q, k))
    return tuple(y.astype(x.dtype) for x, y in zip((q, k), turned, strict=True))

  return base.RPE(
    bias=base.no_bias(H),
    rotate=rotate,
    source='Su et al. 2021, RoFormer, arXiv 2104.09864',
  )
