"""Positions of tokens on a clock, so exact that their differences are."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['whole', 'part'],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Positions:
  """p = whole + part, [B, T, H], or one head for all; non-decreasing along T.

  One float32 near 10^5 knows its fraction to 0.008. A whole number is exact
  below 2^24, so that differences, taken of both summands apart, are as good as
  the fraction is.

  Attributes:
    whole: whole numbers, or any positions with a `part` of 0.
    part: what is left, of the size of 1.
  """

  whole: Float[Array, 'B T h']
  part: Float[Array, 'B T h']


def accumulate(increments: Float[Array, 'B T h']) -> Positions:
  """p_i = sum of increments_l over l <= i, in float32 or wider.

  Sums of pairs of sums, whose fractions are brought below 1 each time: the
  error is a few units in the last place of 1, whatever the length. What is
  whole has derivative 0, so all of the gradient goes through the fraction.

  Args:
    increments: distance of a token from the one before it, >= 0 (that of the
      first token is its distance from 0, and changes nothing).
  """
  x = increments.astype(jnp.promote_types(increments.dtype, jnp.float32))
  whole = jnp.floor(x)
  return Positions(*lax.associative_scan(_add, (whole, x - whole), axis=1))


def _add(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
  part = a[1] + b[1]
  carry = jnp.floor(part)
  return a[0] + b[0] + carry, part - carry
