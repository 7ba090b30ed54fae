"""How the next token is drawn from logits."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
  """How the next token is drawn; temperature 0 takes the likeliest."""

  temperature: float = 1.0
  top_k: int = 0  # 0 is all
  top_p: float = 1.0

  def __post_init__(self):
    if self.temperature and not 1e-6 <= self.temperature < float('inf'):
      raise ValueError(
        f'--temperature={self.temperature}: needs 0, which is greedy, or '
        'at least 1e-6'
      )
    if self.top_k < 0:
      raise ValueError(f'--top_k={self.top_k}: needs >= 0, 0 is all')
    if not 0 < self.top_p <= 1:
      raise ValueError(f'--top_p={self.top_p}: needs 0 < p <= 1')

  def __call__(
    self, logits: Float[Array, 'B V'], key: PRNGKeyArray
  ) -> Int[Array, ' B']:
    """A token for each row of logits [B, V]."""
    if self.temperature == 0:
      return jnp.argmax(logits, axis=-1)
    logits = logits / self.temperature
    down = jnp.sort(logits, axis=-1)[:, ::-1]
    least = jnp.full_like(down[:, :1], -jnp.inf)
    if self.top_k:
      least = down[:, min(self.top_k, down.shape[1]) - 1][:, None]
    if self.top_p < 1:  # a sum may reach 1 before the last token
      p = jax.nn.softmax(down, axis=-1)
      # The smallest set whose probability reaches top_p; never empty.
      inside = jnp.cumsum(p, axis=-1) - p < self.top_p
      nucleus = jnp.where(inside, down, jnp.inf).min(-1, keepdims=True)
      least = jnp.maximum(least, nucleus)
    logits = jnp.where(logits >= least, logits, -jnp.inf)
    return jax.random.categorical(key, logits)
