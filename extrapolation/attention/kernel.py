"""A bias as the function of distance that it is, with its parameters."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PyTree


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['params'],
  meta_fields=['bias'],
)
@dataclasses.dataclass(frozen=True)
class Kernel:
  """`bias(distance [d], params) -> [H, d]`, elementwise in distance.

  Attributes:
    bias: static under `jit`, and the same function only if it is the same
      object: take it from one record, `Kernel(rpe.bias, params)`.
    params: in the formula's own units; gradients flow to them.
  """

  bias: Callable[[Num[Array, ' d'], PyTree], Float[Array, 'H d']]
  params: PyTree

  def table(self, n: int) -> Float[Array, 'H n']:
    """Its values at the distances 0 .. n - 1."""
    return self.bias(jnp.arange(n), self.params)


def at(
  bias: Callable, params: PyTree, distance: Float[Array, 'h r s'], H: int
) -> Float[Array, 'H r s']:
  """bias_h(distance_h), of a distance per head, or one for all (h = 1).

  Row h is all that is read of what head h's distances give; a fused loop then
  computes no other row, so that H heads cost as much as one table of H rows.
  """
  if len(distance) == 1:
    return _by_row(lambda t: bias(t, params), distance[0])
  rows = [
    _by_row(lambda t, h=h: bias(t, params)[h : h + 1], distance[h])
    for h in range(H)
  ]
  return jnp.concatenate(rows)


def _by_row(f: Callable, distance: Array) -> Array:
  """f of [r, s], one row at a time: flattened, XLA would divide indices."""
  return jax.vmap(f, out_axes=1)(distance)


def pull(
  bias: Callable,
  params: PyTree,
  distance: Float[Array, 'h r s'],
  g: Float[Array, 'H r s'],
) -> tuple[Float[Array, 'h r s'], PyTree]:
  """Cotangents of distance and params for g, that of `at`.

  The slope in distance is found forwards, in the same fused loop as the value:
  backwards, every head would have the zeros of the others to add.
  """
  H = len(g)
  value = functools.partial(at, bias, params, H=H)
  _, slope = jax.jvp(value, (distance,), (jnp.ones_like(distance),))
  along = g * slope
  if len(distance) == 1:
    along = along.sum(0, keepdims=True)
  if not jax.tree.leaves(params):
    return along, params
  _, back = jax.vjp(lambda x: at(bias, x, distance, H), params)
  return along, back(g)[0]
