"""Windows by the difference of a clock: where content decides what is near.

A clock of the text may put any key near, and no number of keys bounds what
lies beyond. Its difference does: of a kernel b that never rises, a key at
p_i - p_j > c weighs at most e^{b(c)}, and a text of n tokens has n - 1 of them:

  T_c <= (n - 1) e^{b(c)}

in place of the T_w of `window_certificate.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation import model, rpe, theory
from extrapolation.attention import Kernel, Positions

REACH = 2.0**24  # of a window; whole numbers are exact in float32 up to there
Kernels = list[Kernel | None]  # by layer


def kernels(m: model.Model, params: dict) -> Kernels:
  """The kernel of each layer that reads a clock; None of those that do not.

  Raises:
    ValueError: one that is not proved never to rise, a heat of the bias on a
      clock, or logits that are more than q.k and the bias.
  """
  of = f'of {m.config.label}'
  layers: Kernels = []
  for encoding, own in m.rpe_by_layer(params):
    if not encoding.score.is_plain:
      raise ValueError(
        f'{of} logits are more than q.k and a bias, so nothing bounds what is '
        'left out'
      )
    if encoding.clock.is_index:
      layers.append(None)
      continue
    if np.any(encoding.heat.whole):
      raise ValueError(
        f'{of} a heat of the bias and a clock change with the text, so nothing '
        'bounds what is left out'
      )
    falls = _never_rises(encoding, own)
    if not all(falls):
      raise ValueError(
        f'{of} the kernel of head {falls.index(False)} is not proved never to '
        'rise with distance, so no difference of its clock bounds what is '
        'left out'
      )
    layers.append(Kernel(encoding.bias, own))
  return layers


def _never_rises(encoding: rpe.RPE, own: rpe.Params) -> list[bool]:
  try:
    return theory.never_rises(encoding.bias, own)
  except theory.TheoryError:  # what it cannot read is not proved
    return [False]


def smallest(
  kernel: Kernel, allowed: Float[np.ndarray, ' H']
) -> Float[np.ndarray, ' H']:
  """The smallest float32 c >= 0 with b(c) <= allowed, per head; inf if none.

  Floats >= 0 are in the order of their bits, which are bisected.

  Args:
    kernel: never rising.
    allowed: ln of weight, one per head.
  """
  low = np.zeros(len(allowed), np.int32)
  high = np.full_like(low, np.float32(REACH).view(np.int32))
  none = value(kernel, high.view(np.float32)) > allowed
  while (low < high).any():
    middle = low + (high - low) // 2
    fits = value(kernel, middle.view(np.float32)) <= allowed
    low = np.where(fits | (low == high), low, middle + 1)
    high = np.where(fits, middle, high)
  return np.where(none, np.float32(np.inf), high.view(np.float32))


def enlarged(
  c: Float[np.ndarray, 'N H'],
  kernels: Kernels,
  allowed: Float[np.ndarray, 'N H'],
  length: int,
) -> Float[np.ndarray, 'N H']:
  """Windows at least c, that leave at most e^allowed of weight to the rest.

  What is too small grows by a thousandth or more, so that this comes to an end.

  Args:
    c: NaN in layers without a kernel.
    allowed: ln T_c of a text of `length` tokens.
  """
  with np.errstate(divide='ignore'):
    count = np.log(np.float64(length - 1))
  rows = []
  for row, kernel, of_layer in zip(c, kernels, allowed, strict=True):
    if kernel is not None:
      need = smallest(kernel, of_layer - count)
      row = np.where(need > row, np.maximum(need, row * 1.001), row)
    rows.append(row.astype(np.float32))
  return np.stack(rows)


def value(
  kernel: Kernel, c: Float[np.ndarray, ' H']
) -> Float[np.ndarray, ' H']:
  """b_h(c_h) of each head; -inf of c = inf, beyond which there is no key."""
  known = np.isfinite(c)
  at = jnp.asarray(np.where(known, c, 0), jnp.float32)
  rows = np.asarray(kernel.bias(at, kernel.params))
  return np.where(known, np.diagonal(rows).astype(np.float64), -np.inf)


def seen(clock: Positions, c: Float[Array, ' H']) -> Float[Array, 'b T H']:
  """How many keys of a query lie at p_i - p_j <= c, to a rounding of p."""
  p = clock.whole + clock.part
  p = jnp.broadcast_to(p, (*p.shape[:2], len(c)))
  p = jax.lax.cummax(p, axis=1)

  def of_row(p: Array, c: Array) -> Array:
    first = jnp.searchsorted(p, p - c)
    return 1 + jnp.arange(len(p)) - jnp.minimum(first, jnp.arange(len(p)))

  count = jax.vmap(jax.vmap(of_row, (1, 0), 1), (0, None))(p, c)
  return count.astype(jnp.float32)
