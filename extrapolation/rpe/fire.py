import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.parts.score import Score, Tile
from extrapolation.rpe import _perceptron, base


def make(
  H: int, train_length: int = 512, width: int = 32, eps: float = 1e-6
) -> base.RPE:
  r"""FIRE: b_h(t, i) = MLP_h(u), a learned function of distance over position.

  u(t, i) = ln(|c t| + 1) / (ln(|c max(i, |m L / 2|)| + 1) + eps) in [0, 1] for
  query i and key i - t, L = train_length; c begins at 0.1 and m at 1, both
  learned. MLP: 1 -> width, ReLU -> H.
  """
  if train_length < 1 or width < 1 or not eps > 0:
    raise ValueError(
      f'train_length = {train_length}, width = {width}, eps = {eps:g}: fire '
      'needs whole numbers >= 1, and eps > 0'
    )

  def logit(tile: Tile, params: base.Params) -> Float[Array, 'H r s']:
    c, least = params['c'], jnp.abs(params['m']) * (train_length / 2)
    most = jnp.abs(c * jnp.maximum(tile.position, least))
    u = jnp.log1p(jnp.abs(c * tile.distance)) / (jnp.log1p(most) + eps)
    y = jax.nn.relu(_perceptron.hidden(params, u[:, None]))
    b = jnp.einsum('hwrs,hw->hrs', y, params['W2'])
    return tile.z + b + params['b2'][:, None, None]

  def init(key: PRNGKeyArray, D: int) -> base.Params:
    del D
    layers = _perceptron.init(key, 1, width, H)
    return layers | dict(c=jnp.asarray(0.1), m=jnp.asarray(1.0))

  return base.RPE(
    bias=base.no_bias(H),
    score=Score(logit=logit, init=init, bounded=True),
    source='Li et al. 2024, FIRE, arXiv 2310.04418',
  )
