import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from extrapolation.rpe import base


def make(H: int, buckets: int = 32, max_distance: int = 128) -> base.RPE:
  r"""T5: bias_h(t) = value[bucket(t), h], one learned per bucket and head.

  With E = buckets / 2: bucket(t) = t for t < E, otherwise
  min(E + floor(E ln(t / E) / ln(max_distance / E)), buckets - 1).
  """
  E = buckets // 2
  if not 2 <= buckets <= 4096 or buckets % 2 or max_distance <= E:
    raise ValueError(
      f'buckets = {buckets}, max_distance = {max_distance}: t5 '
      'needs an even number of buckets, 2 to 4096, and max_distance > half'
    )

  def bias(distance: Num[Array, ' d'], params: base.Params):
    t = distance.astype(jnp.float32)
    log_share = jnp.log(jnp.maximum(t, E) / E) / jnp.log(max_distance / E)
    far = jnp.minimum(E + jnp.floor(E * log_share), buckets - 1)
    bucket = jnp.where(t < E, t, far).astype(jnp.int32)
    return params['value'].T[:, bucket]

  def init(key: PRNGKeyArray):
    return dict(value=0.02 * jax.random.normal(key, (buckets, H)))

  return base.RPE(
    bias=bias, init=init, source='Raffel et al. 2020, arXiv 1910.10683'
  )
