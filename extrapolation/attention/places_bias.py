"""What a geometry adds to the logits of any queries and keys."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from extrapolation.attention import kernel
from extrapolation.geometry import Geometry


@dataclasses.dataclass(frozen=True)
class Tile:
  """`(bias, query places, key places) -> [h, r, s]`, added to the logits.

  Attributes:
    geometry: of the places.
    kernel: the function that `bias` holds the parameters of, read at the
      distances; None of a table [h, n], read by them.
    H: heads of the kernel.
  """

  geometry: Geometry
  kernel: Callable | None
  H: int

  def __call__(
    self,
    bias: Any,
    queries: Integer[Array, '#r #s c'],
    keys: Integer[Array, '#r #s c'],
  ) -> Float[Array, 'h r s']:
    """-inf where a key is not seen; [1, ..] if the bias is None."""
    t, seen = self.geometry.distance(queries, keys), None
    if self.geometry.sees is not None:
      seen = self.geometry.sees(queries, keys)
      t = jnp.where(seen, t, 0)
    if bias is None:
      out = jnp.zeros((1, *t.shape))
    elif self.kernel is not None:
      out = kernel.at(self.kernel, bias, t[None], self.H, at_once=False)
    else:
      # Of slots without a token, which weigh nothing, it may be out of range.
      out = bias.at[:, t].get(mode='clip', wrap_negative_indices=False)
    return out if seen is None else jnp.where(seen, out, -jnp.inf)
