import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from extrapolation.rpe import base


def make(H: int, base_period: float = 10000.0) -> base.RPE:
  r"""Sinusoidal: an absolute table added to the input embeddings.

  x_n += [sin(n w_1) .. sin(n w_m), cos(n w_1) .. cos(n w_m)], m = D / 2,
  w_i = base_period^(-(i - 1) / (m - 1)).
  """

  def embed(x: Float[Array, 'B T D'], positions: Num[Array, '*B T']):
    D = x.shape[-1]
    if D % 2 or D < 4:
      raise ValueError(f'D = {D}: sinusoidal needs an even model width >= 4')
    m = D // 2
    w = base_period ** (-jnp.arange(m, dtype=jnp.float32) / (m - 1))
    angle = positions.astype(jnp.float32)[..., None] * w
    table = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return x + table.astype(x.dtype)

  return base.RPE(
    bias=base.no_bias(H),
    embed=embed,
    source='Vaswani et al. 2017, section 3.5, arXiv 1706.03762',
  )
