import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base
from extrapolation.rpe.rotary import rotation


def make(
  H: int, base_period: float = 10000.0, scale_base: float = 512.0
) -> base.RPE:
  r"""xPos: RoPE whose q.k also decays, by zeta_m^((n_q - n_k) / scale_base).

  zeta_m = (2 m / K + 0.4) / 1.4, m = 0 .. K/2 - 1 for each rotated pair.
  """

  def rotate(q: base.QK, k: base.QK, positions: Num[Array, ' T']):
    K, T = q.shape[-1], positions.shape[0]
    if T > 60 * scale_base:  # 0.286^-70 is the end of float32
      raise ValueError(
        f'length {T}: xpos scales keys by zeta^-(n / {scale_base:g}), which '
        f'leaves float32 beyond {int(60 * scale_base)}; raise scale_base'
      )
    zeta = (jnp.arange(0, K, 2, dtype=jnp.float32) / K + 0.4) / 1.4
    power = positions.astype(jnp.float32)[:, None] / scale_base
    log_scale = jnp.tile(power * jnp.log(zeta), 2)[:, None]  # [T, 1, K]
    q_turned = rotation(q, positions, base_period) * jnp.exp(log_scale)
    k_turned = rotation(k, positions, base_period) * jnp.exp(-log_scale)
    return q_turned.astype(q.dtype), k_turned.astype(k.dtype)

  return base.RPE(
    bias=base.no_bias(H),
    rotate=rotate,
    source='Sun et al. 2023, arXiv 2212.10554',
  )
