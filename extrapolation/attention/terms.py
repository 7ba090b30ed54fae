"""What attention reads beside q, k and v: bias, positions, heat, documents."""

import dataclasses
import functools

import jax
from jaxtyping import Array, Float, Int

from extrapolation.attention.kernel import Kernel
from extrapolation.attention.positions import Positions


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['bias', 'clock', 'heat', 'documents', 'clock_window'],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
  """All but queries, keys and values; what is None is not computed.

  Attributes:
    bias: a table by i - j, or with `clock` the function of p_i - p_j.
    clock: positions p.
    heat: factor of the bias of a query (that of q . k is in q already).
    documents: a query sees the keys of its own document alone.
    clock_window: largest p_i - p_j that is seen.
  """

  bias: Float[Array, 'H n'] | Kernel
  clock: Positions | None = None
  heat: Float[Array, 'B T h'] | None = None
  documents: Int[Array, 'B T'] | None = None
  clock_window: Float[Array, ' H'] | None = None

  @property
  def table_alone(self) -> bool:
    """Whether the bias by i - j is all there is."""
    others = self.clock, self.heat, self.documents, self.clock_window
    return all(x is None for x in others)

  def by_token(self) -> dict[str, Array]:
    """The arrays with a value per token, [B, T, h]."""
    arrays = {}
    if self.clock is not None:
      arrays |= dict(whole=self.clock.whole, part=self.clock.part)
    if self.heat is not None:
      arrays['heat'] = self.heat
    if self.documents is not None:
      arrays['documents'] = self.documents[..., None]
    return arrays


def difference(query: dict[str, Array], key: dict[str, Array]) -> Array:
  """p_i - p_j of what broadcasts: whole numbers apart, so that it is exact."""
  whole, part = (query[n] - key[n] for n in ('whole', 'part'))
  return whole + part
