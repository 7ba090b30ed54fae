"""A linear layer whose weight gradient transposes the narrow operand."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def _contract(
  x: Array, y: Array, axes_x: tuple[int, ...], axes_y: tuple[int, ...]
):
  """Contraction in x.dtype, accumulated in float32 or wider."""
  wide = jnp.promote_types(x.dtype, jnp.float32)
  z = lax.dot_general(
    x, y, ((axes_x, axes_y), ((), ())), preferred_element_type=wide
  )
  return z.astype(x.dtype)


def transposed(z: Float[Array, 'I O']) -> Float[Array, 'O I']:
  """z^T of a matrix product z that is computed in the order it is written.

  Without the barrier XLA transposes the product itself, on a CPU into a form
  that its fast kernels do not take: twice as slow.
  """
  return lax.optimization_barrier(z).T


@jax.custom_vjp
def _matmul(x: Array, w: Array):
  return _contract(x, w, (x.ndim - 1,), (0,))


def _matmul_fwd(x: Array, w: Array):
  return _matmul(x, w), (x, w)


def _matmul_bwd(residuals: tuple, g: Array):
  x, w = residuals
  dx = _contract(g, w, (g.ndim - 1,), (1,))
  # dW = x^T g. A matrix product wants one operand transposed here, and XLA
  # always copies the cotangent: of a layer that widens 4 times, the larger
  # copy. Written this way it is the narrower one.
  rows = tuple(range(x.ndim - 1))
  if w.shape[0] <= w.shape[1]:
    dw = _contract(x, g, rows, rows)
  else:
    dw = transposed(_contract(g, x, rows, rows))
  return dx, dw


_matmul.defvjp(_matmul_fwd, _matmul_bwd)


def dense(
  x: Float[Array, '... I'],
  w: Float[Array, 'I O'],
  b: Float[Array, ' O'] | None = None,
) -> Float[Array, '... O']:
  """y = x w + b, in the dtype of x, accumulated in float32 where it is short.

  Leading axes are never merged, so that each may be sharded on its own.
  """
  y = _matmul(x, w.astype(x.dtype))
  return y if b is None else y + b.astype(y.dtype)
