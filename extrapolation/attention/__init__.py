"""Causal attention whose bias is one table of values by distance."""

import functools
import logging
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation.attention import (
  blockwise,
  cudnn,
  pallas_tpu,
  reference,
  truncation,
)
from extrapolation.attention.precision import wide

log = logging.getLogger(__name__)
DTYPES = ('float16', 'bfloat16', 'float32', 'float64')
# Below these one dense product is faster than blocks (on a CPU: measured).
DENSE_MAX_LENGTH, DENSE_MAX_LENGTH_CPU = 96, 16


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  *,
  window: Sequence[int] | int | None = None,
  shrink: bool = False,
  implementation: str = 'auto',
) -> Float[Array, 'B T H K']:
  """Attention over keys at distance t >= 0 with weight exp(q.k/sqrt(K) + bias).

  Under a mesh (`jax.set_mesh`) whose axes 'data', 'fsdp' spread the batch and
  'seq' the tokens, every device computes its own part of the same result.

  Args:
    q: queries; k: keys; v: values.
    bias: the encoding's table, `rpe.bias(arange(n), params)`, n >= T.
    window: attend to the nearest `window` keys only (one number, or one
      per head); None for all.
    shrink: times 1 - p, p the largest share that keys beyond the window can
      have: half the worst error of the same window (`truncation.py`).
    implementation: 'reference' is the dense definition; 'blockwise' takes O(T)
      memory anywhere, and under 'seq' passes keys around a ring, which
      'gather' collects first; 'pallas' is a TPU kernel; 'cudnn' writes the
      bias out. 'auto' picks by backend, dtype and length and logs its
      choice at DEBUG (`--verbose`).

  Raises:
    ValueError: shapes, dtypes, window or implementation that do not fit.
  """
  window = _check(q, k, v, bias, window)
  if shrink and window is None:
    raise ValueError('shrink=True without a window: give window=N, keys kept')
  if implementation == 'auto':
    implementation = choose(
      jax.default_backend(), str(q.dtype), q.shape[1],
      jax.devices()[0].device_kind,
    )  # fmt: skip
    if shrink and implementation not in _WITH_LSE:
      implementation = 'blockwise'
  if implementation not in _IMPLEMENTATIONS:
    raise ValueError(
      f'no implementation {implementation!r} of attention; '
      f'there are: auto, {", ".join(_IMPLEMENTATIONS)}'
    )
  if not shrink:
    return _IMPLEMENTATIONS[implementation](q, k, v, bias, window)
  if implementation not in _WITH_LSE:
    raise ValueError(
      f'{implementation} cannot shrink: it does not give the sum of the '
      f'weights; take {", ".join(_WITH_LSE)}, or auto'
    )
  o, lse = _WITH_LSE[implementation](q, k, v, bias, window)
  return truncation.shrunken(o, lse, q, k, bias, window)


def attend_with_lse(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  *,
  window: Sequence[int] | int | None = None,
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B T H']]:
  """What `attend` gives, and ln sum_j exp(q_i . k_j / sqrt K + bias[i - j]).

  The sum is over the keys that are seen, so that a bound of the others' weight
  becomes a bound of what they could change (window_bound.py).
  """
  window = _check(q, k, v, bias, window)
  return blockwise.attend(q, k, v, bias, window, return_lse=True)


@functools.cache
def choose(backend: str, dtype: str, T: int, kind: str = '') -> str:
  """What 'auto' is, on devices called `kind`; logged once per choice.

  On a GPU it is 'blockwise' until a measurement says otherwise, and on a TPU
  before v5, which has no strided rotate.
  """
  old = kind.startswith(('TPU v2', 'TPU v3', 'TPU v4'))
  if T < (DENSE_MAX_LENGTH_CPU if backend == 'cpu' else DENSE_MAX_LENGTH):
    chosen = 'reference'
  elif backend == 'tpu' and dtype in ('float32', 'bfloat16') and not old:
    chosen = 'pallas'
  else:
    chosen = 'blockwise'
  log.debug('attention: %s (%s, %s, T = %d)', chosen, backend, dtype, T)
  return chosen


def _reference(
  q: Array, k: Array, v: Array, bias: Array, window: tuple[int, ...] | None
) -> tuple[Array, Array]:
  if window is not None:
    beyond = jnp.arange(bias.shape[1]) >= jnp.asarray(window)[:, None]
    bias = jnp.where(beyond, -jnp.inf, bias)
  o, _, lse = reference.attend_with_lse(q, k, v, bias)
  return o, lse


def _pallas(
  q: Array, k: Array, v: Array, bias: Array, window: tuple[int, ...] | None
) -> Array:
  interpret = jax.default_backend() != 'tpu'
  short = q.dtype == jnp.float16 and not interpret  # no TPU loads it
  if short or wide(q, bias) != jnp.float32:
    raise ValueError(
      f'q {q.dtype}, bias {bias.dtype}: the pallas kernel takes float32 and '
      'bfloat16; cast them, or take blockwise'
    )
  kernel = functools.partial(pallas_tpu.attend, interpret=interpret)
  return blockwise.attend(q, k, v, bias, window, kernel=kernel)


def _cudnn(
  q: Array, k: Array, v: Array, bias: Array, window: tuple[int, ...] | None
) -> Array:
  if jax.default_backend() != 'gpu':
    raise ValueError(
      f'cudnn needs a GPU, and this is a {jax.default_backend()}; take '
      'blockwise, or auto'
    )
  return blockwise.attend(q, k, v, bias, window, kernel=cudnn.attend)


_IMPLEMENTATIONS = dict(
  reference=lambda *a: _reference(*a)[0],
  blockwise=blockwise.attend,
  gather=functools.partial(blockwise.attend, gather=True),
  pallas=_pallas,
  cudnn=_cudnn,
)
_WITH_LSE = dict(
  reference=_reference,
  blockwise=functools.partial(blockwise.attend, return_lse=True),
  gather=functools.partial(blockwise.attend, gather=True, return_lse=True),
)


def _check(
  q: Array, k: Array, v: Array, bias: Array, window: Any
) -> tuple[int, ...] | None:
  """The window as one number per head, or None; raises what `attend` says."""
  if q.ndim != 4 or k.shape != q.shape or v.shape != q.shape:
    raise ValueError(
      f'q {q.shape}, k {k.shape}, v {v.shape}: attention needs three equal '
      'shapes [B, T, H, K]'
    )
  if 0 in q.shape:
    raise ValueError(f'q {q.shape}: attention needs no size to be 0')
  T, H = q.shape[1:3]
  if str(q.dtype) not in DTYPES or k.dtype != q.dtype or v.dtype != q.dtype:
    raise ValueError(
      f'q {q.dtype}, k {k.dtype}, v {v.dtype}: attention needs one dtype of '
      f'{", ".join(DTYPES)}; cast them alike'
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
  windows = np.asarray(window)
  if (
    windows.dtype.kind not in 'iu'
    or windows.shape not in ((), (H,))
    or windows.min() < 1
  ):
    raise ValueError(
      f'window {window}: it must be whole and at least 1, one number or {H}, '
      'one per head'
    )
  return tuple(int(w) for w in np.broadcast_to(windows, (H,)))
