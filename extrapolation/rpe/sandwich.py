import jax.numpy as jnp
from jaxtyping import Array, Num

from extrapolation.rpe import base


def make(H: int, dbar: int = 128) -> base.RPE:
  r"""Sandwich: the inner product of two sinusoidal embeddings, per-head scale.

  bias_h(t) = (sum_{i=1}^{n} cos(t / 10000^(i/n)) - n) H / (8 h), n = dbar / 2,
  h = 1..H.
  """
  if not 2 <= dbar <= 4096 or dbar % 2:
    raise ValueError(f'dbar = {dbar}: sandwich needs an even number, 2 to 4096')
  n = dbar // 2

  def bias(distance: Num[Array, ' d'], params: base.Params):
    del params
    frequency = 10000.0 ** (-jnp.arange(1, n + 1, dtype=jnp.float32) / n)
    angle = distance.astype(jnp.float32)[:, None] * frequency
    scale = H / (8.0 * jnp.arange(1, H + 1, dtype=jnp.float32))
    return scale[:, None] * (jnp.cos(angle).sum(-1) - n)

  return base.RPE(bias=bias, source='Chi et al. 2023, arXiv 2212.10356')
