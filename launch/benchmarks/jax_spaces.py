"""Attention over the cells of a grid in JAX; cases as in `jax_cases`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from extrapolation import attention, geometry
from launch.benchmarks.jax_cases import compiled, waits


def attend(
  implementation: str,
  size: list[int],
  B: int,
  H: int,
  K: int,
  dtype: str = 'float32',
  backward: bool = True,
) -> tuple[Callable[[], None], dict]:
  """Forward, or forward and backward, under -slope t, t the l1 norm."""
  g, shape = geometry.parse('grid'), tuple(size)
  cells = g.places(shape)
  T = len(cells)
  keys = jax.random.split(jax.random.key(0), 4)
  q, k, v, ct = (jax.random.normal(x, (B, T, H, K), dtype) for x in keys)
  slopes = jnp.exp2(-8 * jnp.arange(1, H + 1) / H)[:, None]
  bias = -slopes * jnp.arange(g.table_length(shape))

  def forward(q, k, v, bias):
    return attention.attend_places(
      q, k, v, bias, g, cells, cells, implementation=implementation
    )

  def both(q, k, v, bias, ct):
    o, pull = jax.vjp(forward, q, k, v, bias)
    return o, pull(ct)

  operands = q, k, v, bias, *([ct] if backward else [])
  f, about = compiled(both if backward else forward, *operands)
  flops = 4 * B * T * T * H * K * (3.5 if backward else 1)
  return waits(f, *operands), about | dict(items=B * T, flops=flops)
