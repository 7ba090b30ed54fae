"""cuDNN's fused attention, which wants the bias written out: [1, H, T, T].

float16 and bfloat16 only, and the bias in the same dtype: 8 bits of it in
bfloat16, an error of up to 1/256 of its value. Memory grows with T^2.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from extrapolation.attention import toeplitz

UNSEEN = -1e4  # in place of -inf, which cuDNN turns into NaN; float16 holds it


def attend(
  q: Array,
  k: Array,
  v: Array,
  table: Array,
  windows: tuple[int, ...],
  backend: str = 'cudnn',
):
  """o [B, T, H, K]; `table` [H, T] is masked already, gradients by cuDNN.

  Raises:
    ValueError: operands that cuDNN does not take.
  """
  del windows  # they are in the table; nothing is skipped
  T, K = q.shape[1], q.shape[3]
  if backend == 'cudnn' and (
    q.dtype.itemsize != 2 or K % 8 or K > 128 or T % 2
  ):
    raise ValueError(
      f'T = {T}, K = {K}, {q.dtype}: cuDNN takes an even T, K a multiple of 8 '
      "up to 128, and 16 bits; implementation='blockwise' takes all"
    )
  u = jnp.pad(table, ((0, 0), (T - 1, 0)))  # the future is masked by cuDNN
  bias = jnp.maximum(toeplitz.by_query(u, T), UNSEEN).astype(q.dtype)
  return jax.nn.dot_product_attention(
    q, k, v, bias[None], is_causal=True, implementation=backend
  )
