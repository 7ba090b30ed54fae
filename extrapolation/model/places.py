"""The input of an encoder: ids or patches of a shape as vectors."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from extrapolation import config, geometry
from extrapolation.config import spaces
from extrapolation.model.space import Space


class Places(nnx.Module):
  """Vectors of the positions of a shape, with what an encoder may add to them.

  Ids are embedded, times sqrt(D); patches are a linear map of their numbers
  id / (V - 1). A learned table of places, made for one size, is resized to
  others (bilinear); a class token comes first.
  """

  def __init__(self, c: config.Network, rngs: nnx.Rngs):
    self.c = c
    normal = nnx.initializers.normal(0.02)
    if c.patch:
      init = nnx.initializers.xavier_uniform()
      self.patches = nnx.Linear(c.patch**2, c.D, kernel_init=init, rngs=rngs)
    if c.table:
      size = geometry.sizes.parse(c.table, spaces.of(c))
      self.table = nnx.Param(normal(rngs.params(), (*size, c.D)))
    if c.pool == 'cls':
      self.class_token = nnx.Param(normal(rngs.params(), (c.D,)))

  def __call__(
    self, ids: Int[Array, 'B n'], embed: nnx.Embed, space: Space
  ) -> Float[Array, 'B T D']:
    """Of ids in the order of the cells; T is that of `space`."""
    c = self.c
    x = self._cells(ids, embed, space)
    if c.table:
      table = self.table[...]
      shape = (*space.size, c.D)
      if table.shape != shape:
        table = jax.image.resize(table, shape, 'bilinear', antialias=False)
      x = x + table.reshape(-1, c.D)
    if c.pool == 'cls':
      first = jnp.broadcast_to(self.class_token[...], (len(x), 1, c.D))
      x = jnp.concatenate([first.astype(x.dtype), x], 1)
    return x

  def _cells(self, ids: Array, embed: nnx.Embed, space: Space) -> Array:
    c = self.c
    if not c.patch:
      return embed(ids) * jnp.sqrt(jnp.float32(c.D))
    p, (h, w) = c.patch, space.size
    x = ids.astype(jnp.float32) / max(embed.num_embeddings - 1, 1)
    x = x.reshape(len(ids), h, p, w, p)
    return self.patches(jnp.moveaxis(x, 2, 3).reshape(len(ids), h * w, p * p))
