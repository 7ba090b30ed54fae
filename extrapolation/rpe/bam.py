import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""BAM: bias_h(t) = -exp(a_h) (t + 1e-5)^p_h, a and p learned per head.

  Both begin at 0, where the bias is -1 at every distance. The exponent may
  have either sign: the weights sum to a finite number iff p > 0.

  >>> params = dict(a=jnp.array([1.0]), p=jnp.array([0.5]))
  >>> print(f'{make(1).bias(jnp.arange(5), params)[0, 4]:.4f}')  # -2 e
  -5.4366
  """

  def bias(distance: Num[Array, ' d'], params: base.Params):
    a, p = params['a'][:, None], params['p'][:, None]
    t = distance.astype(jnp.float32)
    # From 256 on float32 has no 1e-5 to add, and theory reads the plain power.
    return -jnp.exp(a) * jnp.where(t < 256, t + 1e-5, t) ** p

  def init(key: PRNGKeyArray):
    del key
    return dict(a=jnp.zeros(H), p=jnp.zeros(H))

  return base.RPE(
    bias=bias,
    init=init,
    source='Bianchessi et al. 2025, BAM, arXiv 2505.22842',
  )
