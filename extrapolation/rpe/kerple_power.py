import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""KERPLE-power: bias_h(t) = -r1 t^r2, r1 > 0, 0 < r2 <= 2 learned per head.

  The exponent stays below 2, beyond which the kernel is no longer
  conditionally positive definite.
  """

  def bias(distance: Num[Array, ' d'], params: base.Params):
    r1, r2 = params['r1'][:, None], params['r2'][:, None]
    t = distance.astype(jnp.float32)
    # d/dr2 of 0^r2 is 0 * log 0: keep the zero distance out of the power.
    return jnp.where(t > 0, -r1 * jnp.maximum(t, 1) ** r2, 0)

  def init(key: PRNGKeyArray):
    k1, k2 = jax.random.split(key)
    return dict(
      r1=jax.random.uniform(k1, (H,), minval=0.01, maxval=1),
      r2=jax.random.uniform(k2, (H,), minval=0.01, maxval=1.99),
    )

  return base.RPE(
    bias=bias,
    init=init,
    **base.positive(r1=None, r2=2.0),
    source='Chi et al. 2022, KERPLE, arXiv 2205.09921',
  )
