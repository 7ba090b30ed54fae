import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""KERPLE-log: bias_h(t) = -r1 ln(1 + r2 t), r1, r2 > 0 learned per head.

  The weights sum to a finite number if and only if r1 > 1.

  >>> params = dict(r1=jnp.array([2.0]), r2=jnp.array([0.5]))
  >>> bias = make(1).bias(jnp.arange(3), params)[0]
  >>> print(f'{bias[2]:.4f}')  # -2 ln(1 + 0.5 * 2)
  -1.3863
  """

  def bias(distance: Num[Array, ' d'], params: base.Params):
    r1, r2 = params['r1'][:, None], params['r2'][:, None]
    return -r1 * jnp.log1p(r2 * distance.astype(jnp.float32))

  def init(key: PRNGKeyArray):
    k1, k2 = jax.random.split(key)
    return dict(
      r1=jax.random.uniform(k1, (H,), minval=0.01, maxval=2),
      r2=jax.random.uniform(k2, (H,), minval=0.01, maxval=1),
    )

  return base.RPE(
    bias=bias,
    init=init,
    **base.positive(r1=None, r2=None),
    source='Chi et al. 2022, KERPLE, arXiv 2205.09921',
  )
