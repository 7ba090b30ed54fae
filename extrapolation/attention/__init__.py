"""Causal attention whose bias is one function of distance."""

import functools
import logging
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from extrapolation.attention import (
  blockwise,
  checks,
  cudnn,
  pallas_tpu,
  reference,
  truncation,
)
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.places import attend_places
from extrapolation.attention.positions import Positions, accumulate
from extrapolation.attention.precision import wide
from extrapolation.attention.terms import Scored, Terms

__all__ = [
  'Kernel',
  'Positions',
  'Scored',
  'accumulate',
  'attend',
  'attend_places',
  'attend_with_lse',
  'choose',
]

log = logging.getLogger(__name__)
# Below these one dense product is faster than blocks (on a CPU: measured).
DENSE_MAX_LENGTH, DENSE_MAX_LENGTH_CPU = 96, 16


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'] | Kernel,
  *,
  clock: Float[Array, '#B T h'] | Positions | None = None,
  heat: Float[Array, '#B T h'] | None = None,
  heats_bias: bool = False,
  documents: Int[Array, 'B T'] | None = None,
  window: Sequence[int] | int | None = None,
  clock_window: Float[Array, ' H'] | Sequence[float] | float | None = None,
  score: Scored | None = None,
  positions: Float[Array, '#B T #H'] | Int[Array, '#B T #H'] | None = None,
  shrink: bool = False,
  implementation: str = 'auto',
) -> Float[Array, 'B T H K']:
  """Attention over keys at distance t >= 0 with weight exp(q.k/sqrt(K) + bias).

  t = i - j, or p_i - p_j of a clock; the logit of query i is
  s_i q.k / sqrt(K) + bias(t), or s_i (q.k / sqrt(K) + bias(t)), s the heat.

  Under a mesh (`jax.set_mesh`) whose axes 'data', 'fsdp' spread the batch and
  'seq' the tokens, every device computes its own part of the same result.

  Args:
    q: queries; k: keys; v: values.
    bias: the encoding's function, `Kernel(rpe.bias, params)`, or its table,
      `rpe.bias(arange(n), params)`, n >= T.
    clock: positions p, per head or one for all (h = 1), that do not decrease
      along T. Given as increments they keep their differences at any length:
      `accumulate(increments)`. None for p = i.
    heat: s > 0, per head or one for all; None for 1.
    heats_bias: whether it scales the bias too. With a score it then scales
      what the score makes of q and the bias without it, s_i logit_ij.
    documents: numbers; keys of another number than the query's weigh nothing.
    window: attend to the nearest `window` keys only (one number, or one
      per head); None for all.
    clock_window: attend where p_i - p_j <= clock_window only (one number, or
      one per head).
    score: logits as another function of q.k and the bias than their sum
      (parts/score.py), `Scored(rpe.score, params)`. A key that is not seen adds
      no step to `passed`.
    positions: p_i within its document, per head or one for all, for a score
      that reads it; the index there if None.
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
  q, bias, window = checks.operands(
    q, k, v, bias, clock, heat, heats_bias, documents, window, clock_window,
    score, positions,
  )  # fmt: skip
  if shrink and window is None:
    raise ValueError('shrink=True without a window: give window=N, keys kept')
  if implementation == 'auto':
    implementation = choose(
      jax.default_backend(), str(q.dtype), q.shape[1],
      jax.devices()[0].device_kind,
    )  # fmt: skip
    if implementation not in _WITH_LSE and (shrink or _more(bias)):
      implementation = 'blockwise'
  if implementation not in _IMPLEMENTATIONS:
    raise ValueError(
      f'no implementation {implementation!r} of attention; '
      f'there are: auto, {", ".join(_IMPLEMENTATIONS)}'
    )
  if _more(bias):
    if shrink:
      raise ValueError(
        'shrink=True knows the bias by i - j alone: without clock, documents, '
        'score and heat of the bias, or give shrink=False'
      )
    if implementation not in _WITH_LSE:
      raise ValueError(
        f'{implementation} takes no clock, documents, score or heat of the '
        f'bias; take {", ".join(_WITH_LSE)}, or auto'
      )
    return _WITH_LSE[implementation](q, k, v, bias, window)[0]
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
  bias: Float[Array, 'H n'] | Kernel,
  *,
  clock: Float[Array, '#B T h'] | Positions | None = None,
  heat: Float[Array, '#B T h'] | None = None,
  heats_bias: bool = False,
  documents: Int[Array, 'B T'] | None = None,
  window: Sequence[int] | int | None = None,
  clock_window: Float[Array, ' H'] | Sequence[float] | float | None = None,
  score: Scored | None = None,
  positions: Float[Array, '#B T #H'] | Int[Array, '#B T #H'] | None = None,
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B T H']]:
  """What `attend` gives, and ln of the sum that its weights are divided by.

  The sum is over the keys that are seen, so that a bound of the others' weight
  becomes a bound of what they could change (window_bound.py).
  """
  q, bias, window = checks.operands(
    q, k, v, bias, clock, heat, heats_bias, documents, window, clock_window,
    score, positions,
  )  # fmt: skip
  if score is not None and not score.softmax(q.shape[2]).all():
    raise ValueError(
      'a score of heads without softmax, whose weights are divided by no sum: '
      'take attend, which asks for none'
    )
  return _WITH_LSE['blockwise'](q, k, v, bias, window)


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


def _more(bias: Array | Terms) -> bool:
  return isinstance(bias, Terms)


def _reference(
  q: Array,
  k: Array,
  v: Array,
  bias: Array | Terms,
  window: tuple[int, ...] | None,
) -> tuple[Array, Array]:
  o, _, lse = reference.attend_with_lse(q, k, v, bias, window)
  return o, lse


def _blockwise(
  q: Array,
  k: Array,
  v: Array,
  bias: Array | Terms,
  window: tuple[int, ...] | None,
  gather: bool = False,
) -> tuple[Array, Array]:
  if isinstance(bias, Terms):
    return blockwise.attend_terms(q, k, v, bias, window)
  return blockwise.attend(q, k, v, bias, window, gather, return_lse=True)


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
  blockwise=_blockwise,
  gather=functools.partial(_blockwise, gather=True),
)
