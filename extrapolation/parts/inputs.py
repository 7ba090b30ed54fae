"""What a clock and a heat may read: the batch as one layer sees it."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray, Shaped


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
  """One layer's view of a batch of B sequences of T tokens.

  Attributes:
    positions: [T] or [B, T], index of a token within its document, from 0.
    x: [B, T, D], the layer's input after its norm; None where there is no
      content, as in theory.
    previous: [B, T], id of the token before each one, -1 where a document
      begins; None where no tokens are known. `previous_ids` makes it.
    step: number of training steps made, of the run that is evaluated too.
    key: randomness of a training step; None outside training.
    visible: [T] or [B, T], keys that each token sees, itself among them; None
      where these are the tokens of its document up to it.
  """

  positions: Integer[Array, '*B T']
  x: Float[Array, 'B T D'] | None = None
  previous: Integer[Array, 'B T'] | None = None
  step: Integer[Array, ''] | int = 0
  key: PRNGKeyArray | None = None
  visible: Integer[Array, '*B T'] | None = None

  @property
  def keys(self) -> Integer[Array, '*B T']:
    """n_i: how many keys token i sees, itself among them."""
    return self.positions + 1 if self.visible is None else self.visible

  def content(self, name: str) -> Float[Array, 'B T D']:
    """`x`, for the part `name`, which is a function of it.

    Raises:
      ValueError: there is none.
    """
    if self.x is None:
      raise ValueError(
        f'{name} is a function of the content of each token, and there is '
        'none here: give the input of a layer, x [B, T, D]'
      )
    return self.x


def previous_ids(
  tokens: Integer[Array, 'B T'], positions: Integer[Array, '*B T']
) -> Integer[Array, 'B T']:
  """The id of the token before each one; -1 where `positions` are 0.

  >>> previous_ids(jnp.array([[7, 8, 9]]), jnp.array([0, 1, 0]))
  Array([[-1,  7, -1]], dtype=int32)
  """
  shifted = jnp.roll(tokens, 1, axis=1).at[:, 0].set(-1)
  return jnp.where(positions == 0, -1, shifted)


def per_token(values: Shaped[Array, '*B T']) -> Float[Array, '#B T 1']:
  """One float32 number per token, [T] or [B, T], for all heads alike."""
  return jnp.atleast_2d(values).astype(jnp.float32)[..., None]


def index_in_document(documents: Integer[Array, 'B T']) -> Array:
  """Index of each token from the first of its document on, [B, T].

  >>> index_in_document(jnp.array([[4, 4, 5, 5, 5]]))
  Array([[0, 1, 0, 1, 2]], dtype=int32)
  """
  i = jnp.arange(documents.shape[1], dtype=jnp.int32)
  begins = documents != jnp.roll(documents, 1, axis=1)
  starts = jnp.where(begins.at[:, 0].set(True), i, 0)
  return i - jax.lax.cummax(starts, axis=1)
