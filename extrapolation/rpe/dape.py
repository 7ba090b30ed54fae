import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.parts.score import Score, Tile
from extrapolation.rpe import _perceptron, base, kernels

LEAK = 0.01  # slope of LeakyReLU below 0


def make(H: int, kernel: str = 'alibi', width: int = 32) -> base.RPE:
  r"""DAPE: logits z + b + MLP([z; b]), mixed over the heads at each i, j.

  z [H] = q.k / sqrt(K) and b [H], the bias of another encoding, `kernel`. MLP:
  2 H -> width, LeakyReLU -> H, learned for each layer.
  """
  if width < 1:
    raise ValueError(f'width = {width}: dape needs at least 1')
  if ':' in kernel or not (known := kernels.get(kernel, H)).score.is_plain:
    raise ValueError(
      f'kernel = {kernel!r}: dape takes an encoding by name alone, whose bias '
      'is a function of distance, as alibi'
    )

  def logit(tile: Tile, params: base.Params) -> Float[Array, 'H r s']:
    both = jnp.concatenate([tile.z, tile.bias])
    y = jax.nn.leaky_relu(_perceptron.hidden(params, both), LEAK)
    return tile.z + tile.bias + _perceptron.output(params, y)

  def init(key: PRNGKeyArray, D: int) -> base.Params:
    del D
    return _perceptron.init(key, 2 * H, width, H)

  def slope(params: base.Params, k: Float[Array, ' H']) -> Float[Array, ' H']:
    a = params['W1'][:, H:] @ k  # hidden units fall as -a g(distance)
    return k + params['W2'] @ (a * jnp.where(a > 0, LEAK, 1))

  return dataclasses.replace(
    known,
    score=Score(logit=logit, init=init, slope=slope),
    source='Zheng et al. 2024, DAPE, arXiv 2405.14722',
  )
