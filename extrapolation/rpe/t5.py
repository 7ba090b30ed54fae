import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from extrapolation.rpe import base


def make(
  H: int, buckets: int = 32, max_distance: int = 128, *,
  bidirectional: bool = False,
) -> base.RPE:  # fmt: skip
  r"""T5: bias_h(t) = value[bucket(t), h], one learned per bucket and head.

  With n buckets on a side and E = n / 2: bucket(t) = t for t < E, otherwise
  min(E + floor(E ln(t / E) / ln(max_distance / E)), n - 1). All are of one side
  (n = buckets), or `bidirectional`, as in T5's encoder: half of them for the
  keys before a query, and the other half, n + bucket(-t), for those behind it.
  """
  n = buckets // 2 if bidirectional else buckets
  E = n // 2
  if not 2 <= n or buckets > 4096 or n % 2 or buckets % 2 or max_distance <= E:
    sides = ' on each of two sides' if bidirectional else ''
    raise ValueError(
      f'buckets = {buckets}, max_distance = {max_distance}: t5 needs an even '
      f'number of buckets{sides}, 4096 at most, and max_distance > half'
    )

  def bias(distance: Num[Array, ' d'], params: base.Params):
    t = distance.astype(jnp.float32)
    t = abs(t) if bidirectional else t
    log_share = jnp.log(jnp.maximum(t, E) / E) / jnp.log(max_distance / E)
    far = jnp.minimum(E + jnp.floor(E * log_share), n - 1)
    bucket = jnp.where(t < E, t, far).astype(jnp.int32)
    if bidirectional:
      bucket = jnp.where(distance < 0, n + bucket, bucket)
    return params['value'].T[:, bucket]

  def init(key: PRNGKeyArray):
    return dict(value=0.02 * jax.random.normal(key, (buckets, H)))

  source = 'Raffel et al. 2020, arXiv 1910.10683'
  return base.RPE(bias=bias, init=init, directed=bidirectional, source=source)
