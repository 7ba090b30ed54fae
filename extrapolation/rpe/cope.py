import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.parts.score import Score, Tile
from extrapolation.rpe import base


def make(H: int, positions: int = 64) -> base.RPE:
  r"""CoPE: q_i.e[p_ij], p_ij a count of the keys j .. i that gates let pass.

  p_ij = min(sum_{l = j .. i} sigmoid(z_il), P - 1), P = positions, z = q.k /
  sqrt(K); e [P, K] is learned, 0 at first, shared by the heads of a layer, and
  linear between whole p.
  """
  if positions < 2:
    raise ValueError(f'positions = {positions}: cope needs at least 2')

  def step(tile: Tile, params: base.Params) -> Float[Array, 'H r s']:
    del params
    return jax.nn.sigmoid(tile.z)

  def logit(tile: Tile, params: base.Params) -> Float[Array, 'H r s']:
    e = params['e'].astype(tile.q.dtype)
    at_whole = jnp.einsum('hrk,pk->hrp', tile.q, e)
    p = jnp.minimum(tile.passed, positions - 1)
    low = jnp.minimum(jnp.floor(p), positions - 2).astype(jnp.int32)
    a, b = (jnp.take_along_axis(at_whole, low + n, axis=2) for n in (0, 1))
    return tile.z + a + (p - low) * (b - a)

  def init(key: PRNGKeyArray, D: int) -> base.Params:
    del key
    return dict(e=jnp.zeros((positions, D // H)))

  return base.RPE(
    bias=base.no_bias(H),
    score=Score(logit=logit, step=step, init=init, bounded=True),
    source='Golovneva et al. 2024, CoPE, arXiv 2405.18719',
  )
