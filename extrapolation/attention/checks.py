"""What `attend` is given, checked and brought into one form."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from extrapolation.attention.kernel import Kernel
from extrapolation.attention.positions import Positions
from extrapolation.attention.precision import wide
from extrapolation.attention.terms import Scored, Terms
from extrapolation.parts.inputs import index_in_document, per_token
from extrapolation.parts.score import Tile

DTYPES = ('float16', 'bfloat16', 'float32', 'float64')


def operands(
  q: Array,
  k: Array,
  v: Array,
  bias: Array | Kernel,
  clock: Any,
  heat: Array | None,
  heats_bias: bool,
  documents: Array | None,
  window: Any,
  clock_window: Any,
  score: Scored | None,
  positions: Array | None,
) -> tuple[Array, Array | Terms, tuple[int, ...] | None]:
  """q times its heat, a table or all terms, and the window of each head.

  Raises:
    ValueError: what `attend` says.
  """
  _arrays(q, k, v)
  B, T, H = q.shape[:3]
  if isinstance(bias, Kernel) and clock is None:
    bias = bias.table(T)
  if isinstance(bias, Kernel):
    of_kernel(bias, H)
    params = jax.tree.map(jnp.asarray, bias.params)
    bias = dataclasses.replace(bias, params=params)
  else:
    _table(bias, T, H)
    if clock is not None:
      raise ValueError(
        f'a clock and a table {bias.shape} by i - j: give the function, '
        'Kernel(rpe.bias, params)'
      )
  if clock is None and clock_window is not None:
    raise ValueError(
      f'clock_window = {clock_window} without a clock: give one, or window=N, '
      'keys'
    )
  if heats_bias and heat is None:
    raise ValueError('heats_bias=True without a heat: give heat=s, or False')
  if isinstance(clock, Positions):
    clock = Positions(*(_by_token('clock', x, B, T, H)
                        for x in (clock.whole, clock.part)))  # fmt: skip
  elif clock is not None:
    clock = _by_token('clock', clock, B, T, H)
    clock = Positions(clock, jnp.zeros_like(clock))
  if clock is not None:
    _never_decreases(clock)
  if heat is not None:
    heat = _by_token('heat', heat, B, T, H)
    if not _holds(lambda: (heat > 0).all()):
      raise ValueError(f'heat of {heat.min():g}: a heat must be > 0')
    if score is None or not heats_bias:
      q = (q.astype(wide(q)) * heat[..., None]).astype(q.dtype)
  if documents is not None and not (
    documents.shape == (B, T) and jnp.issubdtype(documents.dtype, jnp.integer)
  ):
    raise ValueError(
      f'documents {documents.dtype} {documents.shape}: they must be whole '
      f'numbers, one per token, {(B, T)}'
    )
  if positions is not None and score is None:
    raise ValueError(
      f'positions {positions.shape} without a score, which reads them: give '
      'score=Scored(rpe.score, params), or clock=p for distances of positions'
    )
  if score is not None:
    score = _score(score, q, heat if heats_bias else None)
    positions = _positions(positions, documents, B, T, H)
  t = Terms(
    bias=bias,
    clock=clock,
    heat=heat if heats_bias else None,
    documents=documents,
    clock_window=_clock_window(clock_window, H),
    scored=score,
    positions=positions,
  )
  return q, bias if t.table_alone else t, _window(window, H)


def _holds(condition: Any) -> bool:
  """Whether it does; True where the arrays have no values yet."""
  try:
    return bool(condition())
  except jax.errors.ConcretizationTypeError:
    return True


def _never_decreases(clock: Positions) -> None:
  def increments():
    whole, part = (jnp.diff(x, axis=1) for x in (clock.whole, clock.part))
    return whole + part

  # A sum of fractions may be one rounding below the one before.
  if not _holds(lambda: (increments() >= -1e-6).all()):
    raise ValueError(
      f'a clock that goes back by {-increments().min():g}: positions must not '
      'decrease along T; give increments >= 0 to accumulate(increments)'
    )


def _arrays(q: Array, k: Array, v: Array) -> None:
  if q.ndim != 4 or k.shape != q.shape or v.shape != q.shape:
    raise ValueError(
      f'q {q.shape}, k {k.shape}, v {v.shape}: attention needs three equal '
      'shapes [B, T, H, K]'
    )
  if 0 in q.shape:
    raise ValueError(f'q {q.shape}: attention needs no size to be 0')
  of_dtypes(q, k, v)


def of_dtypes(q: Array, k: Array, v: Array) -> None:
  """Whether they have one, and one that there is."""
  if str(q.dtype) not in DTYPES or k.dtype != q.dtype or v.dtype != q.dtype:
    raise ValueError(
      f'q {q.dtype}, k {k.dtype}, v {v.dtype}: attention needs one dtype of '
      f'{", ".join(DTYPES)}; cast them alike'
    )


def _table(bias: Array, T: int, H: int) -> None:
  if not jnp.issubdtype(bias.dtype, jnp.floating):
    raise ValueError(f'bias is {bias.dtype}; it must be floating')
  if bias.ndim != 2 or bias.shape[0] != H or bias.shape[1] < T:
    raise ValueError(
      f'bias {bias.shape} for {H} heads and {T} tokens: it must be [{H}, n], '
      f'n >= {T}, that is rpe.bias(jnp.arange({T}), params)'
    )


def of_kernel(bias: Kernel, H: int) -> None:
  """Whether it has a row for each head."""
  t = jax.ShapeDtypeStruct((3,), jnp.float32)
  out = jax.eval_shape(bias.bias, t, bias.params)
  if out.shape != (H, 3):
    raise ValueError(
      f'the kernel gives {out.shape} at 3 distances: it must be '
      f'{(H, 3)}, a row for each of {H} heads'
    )


def _score(given: Scored, q: Array, heat: Array | None) -> Scored:
  """With parameters that are arrays; `heat` is that of whole logits."""
  H, K = q.shape[2:]
  given = dataclasses.replace(
    given, params=jax.tree.map(jnp.asarray, given.params)
  )
  if np.shape(given.score.softmax) not in ((), (H,)):
    raise ValueError(
      f'softmax = {given.score.softmax} of a score for {H} heads: it must be '
      'one bool, or one per head'
    )
  tile = Tile(*(
    jax.ShapeDtypeStruct(shape, wide(q))
    for shape in ((H, 2, 3), (H, 2, K), (H, 2, 3), (1, 2, 3), (1, 2, 1),
                  (1, 2, 3), (H, 2, 3))
  ))  # fmt: skip
  for name in ('logit', 'step'):
    f = getattr(given.score, name)
    out = (
      (H, 2, 3) if f is None else jax.eval_shape(f, tile, given.params).shape
    )
    if out != (H, 2, 3):
      raise ValueError(
        f'the {name} of a score gives {out} for 2 queries and 3 keys: it must '
        f'be {(H, 2, 3)}, a tile for each of {H} heads'
      )
  sums = ~given.softmax(H)
  if heat is not None and sums.any():
    of_sums = jnp.broadcast_to(heat, (*heat.shape[:2], H))[..., sums]
    if sums.all() or not _holds(lambda: (of_sums == 1).all()):
      raise ValueError(
        'a heat of the whole logit of heads without softmax, whose weights it '
        'would not keep at a sum of at most 1: take one of q.k, whole=false'
      )
  return given


def _positions(
  x: Array | None, documents: Array | None, B: int, T: int, H: int
) -> Array:
  if x is None:
    x = jnp.arange(T) if documents is None else index_in_document(documents)
    x = per_token(x)
  return _by_token('positions', x * 1.0, B, T, H)


def _by_token(name: str, x: Array, B: int, T: int, H: int) -> Array:
  if (
    x.ndim != 3
    or x.shape[0] not in (1, B)
    or x.shape[1] != T
    or x.shape[2] not in (1, H)
    or not jnp.issubdtype(x.dtype, jnp.floating)
  ):
    raise ValueError(
      f'{name} {x.dtype} {x.shape}: it must be floating, [{B} or 1, {T}, '
      f'{H} or 1], a number per token and head, or one for all heads'
    )
  return x.astype(wide(x))


def _window(window: Any, H: int) -> tuple[int, ...] | None:
  """The window as one number per head, or None."""
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


def _clock_window(clock_window: Any, H: int) -> Array | None:
  if clock_window is None:
    return None
  x = jnp.asarray(clock_window, jnp.float32)
  if x.shape not in ((), (H,)) or not _holds(lambda: (x >= 0).all()):
    raise ValueError(
      f'clock_window {clock_window}: it must be at least 0, one number or {H}, '
      'one per head'
    )
  return jnp.broadcast_to(x, (H,))
