"""What has left a ring of keys, by its extremes: constant memory.

Every key that left lies in a box and in a ball around 0, so the logits of a
query are at most m; every value that left lies in a box, so the mean of those
values is at most so far from the output of the keys that are still there.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from extrapolation.attention.window_bound import dropped_seen, norm


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['k_low', 'k_high', 'k_norm', 'v_low', 'v_high', 'v_norm',
               'error', 'k_next', 'v_next'],
  meta_fields=[],
)  # fmt: skip
@dataclasses.dataclass(frozen=True)
class Extremes:
  """Of n = batch x heads rows, float32.

  Attributes:
    k_low, k_high, v_low, v_high: least and largest of each coordinate.
    k_norm: the largest ||k|| of those that left.
    v_norm: the largest ||v|| of all, those still there included.
    error: largest bound so far of ||o - o_w||, in the units of v.
    k_next, v_next: what leaves next. It is read after the ring was written:
      XLA copies a ring that is read before it is overwritten.
  """

  k_low: Float[Array, 'n K']
  k_high: Float[Array, 'n K']
  k_norm: Float[Array, ' n']
  v_low: Float[Array, 'n K']
  v_high: Float[Array, 'n K']
  v_norm: Float[Array, ' n']
  error: Float[Array, ' n']
  k_next: Float[Array, 'n 1 K']
  v_next: Float[Array, 'n 1 K']

  @classmethod
  def none(cls, n: int, K: int) -> 'Extremes':
    """Of nothing."""
    some = lambda x: jnp.full((n, K), x, jnp.float32)  # noqa: E731
    zero = lambda *s: jnp.zeros((n, *s), jnp.float32)  # noqa: E731
    inf = math.inf  # no two arrays may share memory, which is donated
    return cls(some(inf), some(-inf), zero(), some(inf), some(-inf), zero(),
               zero(), zero(1, K), zero(1, K))  # fmt: skip

  def including(
    self,
    k: Float[Array, 'n t K'],
    v: Float[Array, 'n t K'],
    when: ArrayLike = True,
  ) -> 'Extremes':
    """With t more keys and values, `when` they have left indeed."""
    k, v = (x.astype(jnp.float32) for x in (k, v))
    more = dataclasses.replace(
      self,
      k_low=jnp.minimum(self.k_low, k.min(1)),
      k_high=jnp.maximum(self.k_high, k.max(1)),
      k_norm=jnp.maximum(self.k_norm, norm(k).max(1)),
      v_low=jnp.minimum(self.v_low, v.min(1)),
      v_high=jnp.maximum(self.v_high, v.max(1)),
      v_norm=jnp.maximum(self.v_norm, norm(v).max(1)),
    )
    return jax.tree.map(lambda a, b: jnp.where(when, a, b), more, self)

  def expecting(
    self, k: Float[Array, 'n w K'], v: Float[Array, 'n w K'], slot: ArrayLike
  ) -> 'Extremes':
    """With the slot of a ring that is overwritten next."""
    k, v = (
      jax.lax.dynamic_slice_in_dim(x, slot, 1, 1).astype(jnp.float32)
      for x in (k, v)
    )
    return dataclasses.replace(self, k_next=k, v_next=v)

  def with_values(self, v: Float[Array, 'n t K']) -> 'Extremes':
    """With t more values that have not left."""
    most = jnp.maximum(self.v_norm, norm(v).max(1))
    return dataclasses.replace(self, v_norm=most)

  def by_norm(self, q: Float[Array, 'n K']) -> Float[Array, ' n']:
    """m by Cauchy-Schwarz: ||q|| max ||k|| / sqrt K."""
    return norm(q) * self.k_norm / math.sqrt(q.shape[-1])

  def most(self, q: Float[Array, 'n K']) -> Float[Array, ' n']:
    """m, the largest logit that a key in the box and the ball can have."""
    q = q.astype(jnp.float32)
    corner = jnp.maximum(q * self.k_low, q * self.k_high).sum(-1)
    return jnp.minimum(self.by_norm(q), corner / math.sqrt(q.shape[-1]))

  def seen(
    self,
    q: Float[Array, 'n K'],
    o: Float[Array, 'n K'],
    lse: Float[Array, ' n'],
    log_tail: Float[Array, ' n'],
  ) -> 'Extremes':
    """With the error of one more query.

    ||o - o_w|| = p ||mean of the far values - o_w||, at most p times the way
    from o_w to the farthest corner of the box.
    """
    some = jnp.isfinite(self.v_low[:, 0])  # whether anything has left
    low, high = (
      jnp.where(some[:, None], x, o) for x in (self.v_low, self.v_high)
    )
    far = jnp.maximum(jnp.abs(o - low), jnp.abs(high - o))
    m = jnp.where(some, self.most(q), 0)
    error = dropped_seen(log_tail, lse, m) * norm(far)
    return dataclasses.replace(self, error=jnp.maximum(self.error, error))
