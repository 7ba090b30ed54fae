"""Two layers of a perceptron, of a few numbers for each query and key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.rpe.base import Params


def init(key: PRNGKeyArray, F: int, width: int, H: int) -> Params:
  """W1 [width, F], b1, W2 [H, width], b2 of F -> width -> H numbers.

  Each is uniform within 1 / sqrt(inputs of its layer), PyTorch's default.
  """
  shapes = dict(W1=(width, F), b1=(width,), W2=(H, width), b2=(H,))
  keys = jax.random.split(key, len(shapes))
  scale = dict(W1=F, b1=F, W2=width, b2=width)
  return {
    n: jax.random.uniform(k, shape, minval=-1, maxval=1) / scale[n] ** 0.5
    for k, (n, shape) in zip(keys, shapes.items(), strict=True)
  }


def hidden(
  params: Params, x: Float[Array, '*h F r s']
) -> Float[Array, '*h W r s']:
  """W1 x + b1; one product, whose gradients are products too."""
  one = jnp.ones_like(x[..., :1, :, :])
  W = jnp.concatenate([params['W1'], params['b1'][:, None]], 1)
  return jnp.einsum('wf,...frs->...wrs', W, jnp.concatenate([x, one], -3))


def output(params: Params, y: Float[Array, 'W r s']) -> Float[Array, 'H r s']:
  """W2 y + b2."""
  b = params['b2'][:, None, None]
  return jnp.einsum('hw,wrs->hrs', params['W2'], y) + b
