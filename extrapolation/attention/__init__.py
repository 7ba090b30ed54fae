"""Causal attention whose bias is one table of values by distance."""

import functools
import logging
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import blockwise, reference

IMPLEMENTATIONS = ('auto', 'reference', 'blockwise')
SHORT = 96  # below this length one dense product is faster than blocks (CPU)


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  *,
  window: Sequence[int] | int | None = None,
  implementation: str = 'auto',
) -> Float[Array, 'B T H K']:
  """Attention over keys at distance t >= 0 with weight exp(q.k/sqrt(K) + bias).

  Args:
    q: queries; k: keys; v: values.
    bias: the encoding's table, `rpe.bias(arange(n), params)`, n >= T.
    window: attend to the nearest `window` keys only (one number, or one a
      head); None for all.
    implementation: 'reference' is the dense definition, 'blockwise' takes O(T)
      memory; 'auto' picks the faster one and says so once.

  Raises:
    ValueError: shapes, dtypes, window or implementation that do not fit.
  """
  window = _check(q, k, v, bias, window)
  if implementation not in IMPLEMENTATIONS:
    raise ValueError(
      f'no implementation {implementation!r} of attention; '
      f'there are: {", ".join(IMPLEMENTATIONS)}'
    )
  if implementation == 'auto':
    T = q.shape[1]
    implementation = 'reference' if T < SHORT else 'blockwise'
    _say(implementation, jax.default_backend(), str(q.dtype), T)
  if implementation == 'blockwise':
    return blockwise.attend(q, k, v, bias, window)
  if window is not None:
    distance = jnp.arange(bias.shape[1])
    beyond = distance >= jnp.asarray(window)[:, None]
    bias = jnp.where(beyond, -jnp.inf, bias)
  return reference.attend(q, k, v, bias)[0]


@functools.cache
def _say(implementation, backend, dtype, T):
  logging.getLogger(__name__).info(
    'attention: %s (%s, %s, T = %d)', implementation, backend, dtype, T
  )


def _check(q, k, v, bias, window):
  """The window as one number a head, or None; raises what `attend` says."""
  if q.ndim != 4 or k.shape != q.shape or v.shape != q.shape:
    raise ValueError(
      f'q {q.shape}, k {k.shape}, v {v.shape}: attention needs three equal '
      'shapes [B, T, H, K]'
    )
  T, H = q.shape[1:3]
  if not k.dtype == v.dtype == q.dtype or not jnp.issubdtype(
    q.dtype, jnp.floating
  ):
    raise ValueError(
      f'q {q.dtype}, k {k.dtype}, v {v.dtype}: attention needs one floating '
      'dtype; cast them alike'
    )
  if not jnp.issubdtype(bias.dtype, jnp.floating):
    raise ValueError(f'bias is {bias.dtype}; it must be floating')
  if bias.ndim != 2 or bias.shape[0] != H or bias.shape[1] < T:
    raise ValueError(
      f'bias {bias.shape} for {H} heads and {T} tokens: it must be [{H}, n], '
      f'n >= {T}, that is rpe.bias(jnp.arange({T}), params)'
    )
  if window is None:
    return None
  windows = tuple(window) if isinstance(window, Sequence) else (window,) * H
  if len(windows) != H or min(windows) < 1:
    raise ValueError(
      f'window {window}: it must be at least 1, one number or {H}, one a head'
    )
  return tuple(int(w) for w in windows)
