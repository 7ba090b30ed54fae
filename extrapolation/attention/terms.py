"""What attention reads beside q, k and v: bias, positions, heat, score."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from extrapolation.attention.kernel import Kernel
from extrapolation.attention.positions import Positions
from extrapolation.parts.params import Params
from extrapolation.parts.score import Score


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['params'],
  meta_fields=['score'],
)
@dataclasses.dataclass(frozen=True)
class Scored:
  """Logits that a score makes of tiles, with its parameters.

  Attributes:
    score: static under `jit`, and the same only if its functions are the same
      objects: take it from one record, `Scored(rpe.score, params)`.
    params: in the formula's own units; gradients flow to them.
  """

  score: Score
  params: Params

  def softmax(self, H: int) -> np.ndarray:
    """Whether the weights of each of H heads are divided by their sum, [H]."""
    return np.broadcast_to(np.asarray(self.score.softmax), (H,))


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=[
    'bias', 'clock', 'heat', 'documents', 'clock_window', 'scored', 'positions',
  ],
  meta_fields=[],
)  # fmt: skip
@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
  """All but queries, keys and values; what is None is not computed.

  Attributes:
    bias: a table by i - j, or with `clock` the function of p_i - p_j.
    clock: positions p.
    heat: factor of the bias of a query (that of q . k is in q already); with a
      score, of the logit (and q is without it).
    documents: a query sees the keys of its own document alone.
    clock_window: largest p_i - p_j that is seen.
    scored: makes the logits of q.k and the bias; None for their sum.
    positions: p_i within its document, which a score may read.
  """

  bias: Float[Array, 'H n'] | Kernel
  clock: Positions | None = None
  heat: Float[Array, 'B T h'] | None = None
  documents: Int[Array, 'B T'] | None = None
  clock_window: Float[Array, ' H'] | None = None
  scored: Scored | None = None
  positions: Float[Array, 'B T h2'] | None = None

  @property
  def table_alone(self) -> bool:
    """Whether the bias by i - j is all there is."""
    others = self.clock, self.heat, self.documents, self.clock_window
    return all(x is None for x in (*others, self.scored))

  def by_token(self) -> dict[str, Array]:
    """The arrays with a value per token, [B, T, h]."""
    arrays = {}
    if self.clock is not None:
      arrays |= dict(whole=self.clock.whole, part=self.clock.part)
    if self.heat is not None:
      arrays['heat'] = self.heat
    if self.documents is not None:
      arrays['documents'] = self.documents[..., None]
    if self.positions is not None:
      arrays['position'] = self.positions
    return arrays


def difference(query: dict[str, Array], key: dict[str, Array]) -> Array:
  """p_i - p_j of what broadcasts: whole numbers apart, so that it is exact."""
  whole, part = (query[n] - key[n] for n in ('whole', 'part'))
  return whole + part


def heated(s: Array, heat: Array) -> Array:
  """heat s, -inf where s is, with a gradient to heat that is finite."""
  hidden = s == -jnp.inf
  return jnp.where(hidden, -jnp.inf, heat * jnp.where(hidden, 0, s))
