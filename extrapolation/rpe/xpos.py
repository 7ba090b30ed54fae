import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base
from extrapolation.rpe._rotation import plain, rotation


def make(
  H: int, base_period: float = 10000.0, scale_base: float = 512.0
) -> base.RPE:
  r"""xPos: RoPE whose q.k also decays, by zeta_m^((n_q - n_k) / scale_base).

  zeta_m = (2 m / K + 0.4) / 1.4, m = 0 .. K/2 - 1 for each rotated pair.
  """

  def rotate(q: base.QK, k: base.QK, positions: Num[Array, '...']):
    K, T = q.shape[-1], q.shape[1]
    reach = 60 * scale_base  # 0.286^60 is near the end of float32
    if T > 2 * reach:
      raise ValueError(
        f'length {T}: xpos scales keys by zeta^-(n / {scale_base:g}), which '
        f'leaves float32 beyond {int(2 * reach)}; raise scale_base'
      )
    zeta = (jnp.arange(0, K, 2, dtype=jnp.float32) / K + 0.4) / 1.4
    n = positions.astype(jnp.float32)
    n = n - T // 2 if T > reach else n  # differences are what counts
    log_scale = jnp.tile(n[..., None] / scale_base * jnp.log(zeta), 2)
    if positions.ndim < 3:  # all heads alike
      log_scale = log_scale[..., None, :]
    w = plain(base_period, K)
    q_turned = rotation(q, positions, w) * jnp.exp(log_scale)
    k_turned = rotation(k, positions, w) * jnp.exp(-log_scale)
    return q_turned.astype(q.dtype), k_turned.astype(k.dtype)

  return base.RPE(
    bias=base.no_bias(H),
    rotate=rotate,
    causal=True,  # q.k of a key t ahead grows by zeta^-t
    source='Sun et al. 2023, arXiv 2212.10554',
  )
