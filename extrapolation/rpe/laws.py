"""Laws that every encoding keeps; one table, for tests and `rpe.check`.

A law takes `make`, which builds the encoding for H heads. It returns why it
does not apply, or ''; where the encoding breaks it, it raises `Broken` with
the number that is wrong.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from extrapolation.rpe.base import RPE, Params

Make = Callable[[int], RPE]
Law = Callable[[Make], str]

H, T, K = 4, 24, 8
HEADS = (1, 2, 3, 8, 12)
FAR = (0, 1, 2, 511, 512, 9215, 131_071, 2**24)
MOVED = 700  # positions by which a text is moved
PUSH = 30.0  # how far the optimiser may push a raw value
NO_ROTATE = 'it has no rotate'
NO_EMBED = 'it has no embed'
NOT_LEARNED = 'it learns nothing'


class Broken(ValueError):
  """What an encoding does that a law forbids."""


def bias_is_float32_with_a_row_for_each_head(make: Make) -> str:
  """The bias of integer and of real distances is float32 [H, d]."""
  e = make(H)
  for distance in (jnp.arange(T), jnp.arange(T, dtype=jnp.float32)):
    bias = e.bias(distance, _params(e))
    _require(
      bias.shape == (H, T) and bias.dtype == jnp.float32,
      f'it is {bias.dtype}{list(bias.shape)} of {T} {distance.dtype} distances '
      f'and {H} heads, not float32{[H, T]}',
    )
  return ''


def any_number_of_heads(make: Make) -> str:
  """1, 2, 3, 8 and 12 heads have a row each."""
  for heads in HEADS:
    e = make(heads)
    shape = e.bias(jnp.arange(T), _params(e)).shape
    _require(shape == (heads, T), f'{heads} heads: shape {list(shape)}')
  return ''


def bias_is_a_log_weight(make: Make) -> str:
  """No NaN and no +inf up to 2^24; -inf, a weight of zero, not at 0."""
  e = make(H)
  _log_weight(e.bias(jnp.asarray(FAR), _params(e)), np.asarray(FAR))
  return ''


def bias_is_of_each_distance_by_itself(make: Make) -> str:
  """It is the same in any order, alone, and among more distances."""
  e = make(H)
  params, order = _params(e), np.random.default_rng(0).permutation(T)
  whole = e.bias(jnp.arange(T), params)
  alone = [e.bias(jnp.asarray([t]), params) for t in range(T)]
  for how, other in (
    (f'among {8 * T}', e.bias(jnp.arange(8 * T), params)[:, :T]),
    (
      'in another order',
      e.bias(jnp.asarray(order), params)[:, order.argsort()],
    ),
    ('alone', jnp.concatenate(alone, 1)),
  ):
    # Sums may be taken in an order that depends on the shape.
    _equal(other, whole, 2e-6, 1e-6, f'{how} and among {T} distances')
  return ''


def bias_can_be_compiled(make: Make) -> str:
  """Under jit, and over layers of parameters at once, as models ask it."""
  e = make(H)
  params = _params(e)
  layers = {k: jnp.stack([v, v]) for k, v in params.items()}
  distance = jnp.arange(T)
  try:
    compiled = jax.jit(
      jax.vmap(lambda p: e.bias(distance, p), axis_size=2)
    )(layers)[1]  # fmt: skip
  except Exception as error:  # whatever the bias raises
    words = ' '.join(str(error).split())[:160]
    raise Broken(f'{type(error).__name__}: {words}') from error
  _equal(compiled, e.bias(distance, params), 1e-5, 1e-5, 'compiled and not')
  return ''


def rotate_knows_differences_only(make: Make) -> str:
  """q_i . k_j is the same when all positions move, and in a shorter text."""
  e = make(H)
  if 'rotate' not in e.beside_bias:
    return NO_ROTATE
  q, k = _normal(2)

  def products(first: int, n: int) -> Array:
    a, b = e.rotate(q[:, :n], k[:, :n], first + jnp.arange(n))
    return jnp.einsum('bthk,bshk->hts', a, b)

  here = products(0, T)
  _equal(products(MOVED, T), here, 2e-3, 2e-3, f'moved by {MOVED} and not')
  _equal(products(0, 9), here[:, :9, :9], 1e-5, 1e-5, f'of 9 and of {T} tokens')
  return ''


def rotate_is_of_each_token_by_itself(make: Make) -> str:
  """Another token changes no q or k but its own: none sees what follows."""
  e = make(H)
  if 'rotate' not in e.beside_bias:
    return NO_ROTATE
  q, k = _normal(2)
  before = e.rotate(q, k, jnp.arange(T))
  after = e.rotate(q.at[:, 9].add(1), k.at[:, 9].add(1), jnp.arange(T))
  for a, b in zip(before, after, strict=True):
    moved = np.delete(np.abs(np.asarray(a - b)).max((0, 2, 3)), 9)
    _require(not moved.any(), f'token 9 changes others by {moved.max():.3g}')
  return ''


def rotate_keeps_norms_or_is_causal(make: Make) -> str:
  """A norm that changes with the position makes keys ahead outgrow others."""
  e = make(H)
  if 'rotate' not in e.beside_bias:
    return NO_ROTATE
  if e.causal:
    return 'causal'
  near, far = (e.rotate(*_normal(2), n + jnp.arange(T)) for n in (0, MOVED))
  for x, a, b in zip('qk', near, far, strict=True):
    here, there = jnp.linalg.norm(a, axis=-1), jnp.linalg.norm(b, axis=-1)
    what = f'norms of {x} moved by {MOVED} and not; if meant, causal=True'
    _equal(there, here, 1e-4, 1e-4, what)
  return ''


def embed_does_not_depend_on_length(make: Make) -> str:
  """The first tokens are the same in a longer text, and their shape stays."""
  e = make(H)
  if 'embed' not in e.beside_bias:
    return NO_EMBED
  x = jax.random.normal(jax.random.key(0), (1, T, 2 * K))
  whole = e.embed(x, jnp.arange(T))
  _require(whole.shape == x.shape, f'shape {list(whole.shape)} of {x.shape}')
  part = e.embed(x[:, :9], jnp.arange(9))
  _equal(whole[:, :9], part, 0.0, 0.0, f'in {T} and in 9 tokens')
  return ''


def rotate_and_embed_keep_the_dtype(make: Make) -> str:
  """bfloat16 stays bfloat16, float32 stays float32."""
  e = make(H)
  if not e.beside_bias:
    return f'{NO_ROTATE}, nor embed'
  for dtype in ('float32', 'bfloat16'):
    q = jnp.ones((1, T, H, K), dtype)
    x = e.embed(q.reshape(1, T, H * K), jnp.arange(T))
    for made in (*e.rotate(q, q, jnp.arange(T)), x):
      _require(made.dtype == dtype, f'{made.dtype} of {dtype}')
  return ''


def constrain_is_the_inverse_of_unconstrain(make: Make) -> str:
  """The parameters of `init` come back."""
  e = make(H)
  if not e.learned:
    return NOT_LEARNED
  params = _params(e)
  again = e.constrain(e.unconstrain(params))
  for name, value in params.items():
    _equal(again[name], value, 1e-5, 1e-6, f'{name} come back and as it began')
  return ''


def parameters_have_finite_gradients(make: Make) -> str:
  """At distance 0 too, where t^r has an infinite slope in its logarithm."""
  e = make(H)
  if not e.learned:
    return NOT_LEARNED
  raw = e.unconstrain(_params(e))

  def total(raw: Params) -> Array:
    bias = e.bias(jnp.arange(T), e.constrain(raw))
    return jnp.where(jnp.isfinite(bias), bias, 0).sum()

  for name, g in jax.grad(total)(raw).items():
    _require(bool(jnp.isfinite(g).all()), f'that of {name} is not finite')
    _require(bool(jnp.abs(g).max() > 0), f'that of {name} is 0: it is not used')
  return ''


def parameters_stay_in_their_domain(make: Make) -> str:
  """However far the optimiser pushes, the bias is neither NaN nor +inf."""
  e = make(H)
  if not e.learned:
    return NOT_LEARNED
  raw = e.unconstrain(_params(e))
  for push in (-PUSH, PUSH):
    pushed = e.constrain(jax.tree.map(lambda x, push=push: x + push, raw))
    bias = e.bias(jnp.arange(T), pushed)
    # So far out float32 may have no number left but -inf, at distance 0 too.
    bias = jnp.maximum(bias, jnp.finfo(bias.dtype).min)
    _log_weight(bias, np.arange(T), f'raw{push:+g}: ')
  return ''


def source_is_given(make: Make) -> str:
  """Paper and equation, or who made it up."""
  _require(bool(make(H).source.strip()), "source is ''")
  return ''


LAWS: tuple[Law, ...] = (
  bias_is_float32_with_a_row_for_each_head,
  any_number_of_heads,
  bias_is_a_log_weight,
  bias_is_of_each_distance_by_itself,
  bias_can_be_compiled,
  rotate_knows_differences_only,
  rotate_is_of_each_token_by_itself,
  rotate_keeps_norms_or_is_causal,
  embed_does_not_depend_on_length,
  rotate_and_embed_keep_the_dtype,
  constrain_is_the_inverse_of_unconstrain,
  parameters_have_finite_gradients,
  parameters_stay_in_their_domain,
  source_is_given,
)


def no_log_weight(
  table: Float[np.ndarray, 'H d'], distance: Num[np.ndarray, ' d']
) -> tuple[int, int] | None:
  """Head and column of the nearest number that is no log weight, if any."""
  bad = np.isnan(table) | np.isposinf(table)
  bad[:, distance == 0] |= np.isneginf(table[:, distance == 0])
  if not bad.any():
    return None
  i = np.flatnonzero(bad.any(0))[0]
  return int(np.flatnonzero(bad[:, i])[0]), int(i)


def _require(holds: bool, what: str) -> None:
  if not holds:
    raise Broken(what)


def _params(e: RPE) -> Params:
  return e.init(jax.random.key(0))


def _normal(n: int) -> Array:
  """Queries, keys: [n, 1, T, H, K]."""
  return jax.random.normal(jax.random.key(0), (n, 1, T, H, K))


def _equal(a: Array, b: Array, rtol: float, atol: float, what: str) -> None:
  x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
  _require(x.shape == y.shape, f'{what}: shapes {x.shape} and {y.shape}')
  off = ~np.isclose(x, y, rtol, atol)
  if off.any():
    at = tuple(np.argwhere(off)[0])
    raise Broken(f'{what}: {x[at]:.6g} and {y[at]:.6g} at {list(map(int, at))}')


def _log_weight(
  bias: Num[Array, 'H d'], distance: Num[np.ndarray, ' d'], what: str = ''
) -> None:
  table = np.asarray(bias, np.float64)
  if bad := no_log_weight(table, distance):
    h, i = bad
    raise Broken(f'{what}{table[h, i]} at distance {distance[i]}, head {h}')
