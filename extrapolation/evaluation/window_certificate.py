r"""Windows for a trained model: the keys a head needs, and what is lost.

A query that sees the nearest w keys alone loses at most the share

  p = e^m T_w / (Z + e^m T_w),  T_w = sum_{t >= w} e^{bias(t)},

of its weights, and its output moves by at most 2 p r, r the radius of a ball
that holds the values. Z, the sum of exp(logit + bias) over the keys seen, m >=
its logits and r are measured here, T_w comes from the encoding's table
(attention/window_bound.py). Errors are shares of the largest value vector.
Of layers whose clock is of the text, windows are differences of that clock,
and T_c bounds what lies beyond (clock_window.py).
"""

import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from extrapolation import attention, config, data, model, runs
from extrapolation.attention import window_bound
from extrapolation.evaluation import clock_window, largest_weight
from extrapolation.parallel import mesh

CHECKED = 64  # tokens of the text that `check` asks about

log = logging.getLogger(__name__)


class Windows(NamedTuple):
  """What a query sees: keys by number, or by the difference of a clock.

  Attributes:
    keys: how many of the nearest, per head; in all layers without a clock, and
      in all if there is no `clock`.
    clock: the largest p_i - p_j, by layer and head; inf sees every key. NaN in
      layers without a clock.
  """

  keys: tuple[int, ...]
  clock: Float[np.ndarray, 'N H'] | None = None

  @property
  def label(self) -> str:
    """`7 9`, or by layer `clock<=2.5 9 / 7 9`; one for layers that agree."""
    keys = ' '.join(map(str, self.keys))
    if self.clock is None:
      return keys
    layers = [
      keys if np.isnan(c).all() else 'clock<=' + ' '.join(f'{x:g}' for x in c)
      for c in self.clock
    ]
    return layers[0] if len(set(layers)) == 1 else ' / '.join(layers)


class Seen(NamedTuple):
  """Of every query, by layer: lse = ln Z, m, and r over the largest ||v||.

  Under windows by a clock also how many keys it saw, and what ln T is more
  than the tail at its window: ln of how many keys are beyond, -inf of none.
  """

  lse: Float[Array, 'N B T H']
  most: Float[Array, 'N B T H']
  spread: Float[Array, 'N B 1 H']
  kept: Float[Array, 'N B T H'] | None = None
  beyond: Float[Array, 'N B T H'] | None = None

  @classmethod
  def of(cls, lse: Array, q: Array, k: Array, v: Array) -> 'Seen':
    """Of one layer, from operands [B, T, H, K] of its attention."""
    largest = window_bound.norm(v).max(1, keepdims=True)
    spread = window_bound.ball(v)[1] / jnp.where(largest > 0, largest, 1)
    return cls(lse, window_bound.query_bound(q, k), spread)


def measured(
  network: model.Network,
  params: dict,
  bias: Any,
  batch: Int[Array, 'B T1'],
  window: tuple[int, ...],
  differences: Float[Array, 'N H'] | None = None,
) -> tuple[Float[Array, 'B T'], Seen]:
  """Nats of batch [B, T + 1] under a window, and what its queries saw.

  That is `Windows(window, differences)`.
  """
  inputs, targets = mesh.shifted(batch)
  network, params = model.for_length(network, params, inputs.shape[1])

  def attend(
    q: Array,
    k: Array,
    v: Array,
    bias: Any,
    layer: Any,
    heat: Array | None = None,
    **kw: Any,
  ) -> tuple[Array, Seen]:
    kw |= of_layer(window, differences, layer, 'clock' in kw)
    if (c := kw.get('clock_window')) is not None:
      kept = clock_window.seen(kw['clock'], c)
      beyond = window_bound.log_beyond(kw['clock'], c)
    else:
      before = jnp.arange(q.shape[1])[None, :, None]
      kept = jnp.minimum(before + 1, jnp.asarray(window)).astype(jnp.float32)
      beyond = jnp.where(before < jnp.asarray(window), -jnp.inf, 0.0)
    o, lse = attention.attend_with_lse(q, k, v, bias, heat=heat, **kw)
    q = q if heat is None else q * heat[..., None]
    seen = Seen.of(lse, q, k, v)
    if differences is not None:
      kept, beyond = (jnp.broadcast_to(x, lse.shape) for x in (kept, beyond))
      seen = seen._replace(kept=kept, beyond=beyond)
    return o, seen

  x, seen = network.hidden(params, bias, inputs, attend=attend)
  return model.token_nll(params, x, targets), seen


def of_layer(
  window: tuple[int, ...],
  differences: Float[Array, 'N H'] | None,
  layer: Any,
  has_clock: bool,
) -> dict[str, Any]:
  """What limits a layer, of `Windows(window, differences)`, to `attend`."""
  if differences is not None and has_clock:
    return dict(clock_window=differences[layer])
  return dict(window=window)


def attend(
  window: tuple[int, ...], differences: Float[Array, 'N H'] | None = None
) -> Callable:
  """An `attend` of `Network.hidden` through `Windows(window, differences)`."""

  def windowed(
    q: Array, k: Array, v: Array, bias: Any, layer: Any, **kw: Any
  ) -> Array:
    kw |= of_layer(window, differences, layer, 'clock' in kw)
    return attention.attend(q, k, v, bias, **kw)

  return windowed


def lost(
  seen: Seen, log_tails: Float[Array, 'N H'], window: tuple[int, ...]
) -> Float[Array, 'N B T H']:
  """2 p r of every query; 0 of those with no key beyond their window."""
  of_query, tails = seen[:3], log_tails[:, None, None]
  if seen.beyond is None:
    return window_bound.moved(*of_query, tails, window)
  return window_bound.moved_beyond(*of_query, tails + seen.beyond)


def log_tails(
  m: model.Model, params: dict, length: int, clocks: bool = True
) -> np.ndarray:
  """ln T_w, w = 0 .. length, of a text so long: [N, H, length + 1].

  `clocks`, and raises: as of `largest_weight.log_weights`.
  """
  bias = largest_weight.log_weights(m, params, length, clocks)
  tails = np.logaddexp.accumulate(bias[..., ::-1], axis=-1)[..., ::-1]
  return np.pad(tails, ((0, 0), (0, 0), (0, 1)), constant_values=-np.inf)


def bounded_tails(
  m: model.Model, params: dict, length: int, windows: Windows
) -> Float[Array, 'N H'] | None:
  """ln T_w at the window of each head; None, and why, if nothing bounds it.

  Of windows by the difference c of a clock, b(c), the most that a key beyond
  weighs.
  """
  keys, clock = windows
  try:
    tails = log_tails(m, params, length, clock is None)
  except ValueError as e:
    log.info('window_error and window_error_mean stay empty: %s', e)
    return None
  at = tails[:, np.arange(len(keys)), keys]
  if clock is not None:
    for i, kernel in enumerate(clock_window.kernels(m, params)):
      if kernel:
        at[i] = clock_window.value(kernel, clock[i])
  return jnp.asarray(at, jnp.float32)


def check(m: model.Model, params: dict, spec: str) -> None:
  """Raises ValueError if `certified:ERROR` is asked for and nothing bounds it.

  It bounds the weight of keys by i - j, or by p_i - p_j where the clock may put
  all of them near. A heat of the bias may change with the text, and a score
  may give weight to keys of any bias.
  """
  if isinstance(config.keys_or_error(spec), float):
    try:
      _tails_or_kernels(m, params, CHECKED)
    except ValueError as e:
      raise ValueError(
        f'window {spec}: {e}; take window=full, or keys'
      ) from None


def _tails_or_kernels(
  m: model.Model, params: dict, length: int
) -> tuple[np.ndarray, clock_window.Kernels | None]:
  """ln T_w, and the kernels of layers whose windows are by their clock.

  None if no clock is of the text, which leaves all windows to be by keys.

  Raises:
    ValueError: neither bounds what is left out.
  """
  try:
    return log_tails(m, params, length), None
  except ValueError:
    kernels = clock_window.kernels(m, params)
    if not any(kernels):
      raise
    return log_tails(m, params, length, clocks=False), kernels


def windows(spec: str, run: runs.Trained, length: int) -> Windows:
  """What each head sees of a text of at most `length` tokens.

  `certified:ERROR` keeps 2 p r <= ERROR in every layer, for every query of a
  sample of the run's held-out text, or of a held-out example of its probe.
  Where the clock of a layer is of the text, its windows are by p_i - p_j.

  Raises:
    ValueError: not `full`, a number >= 1, or `certified:ERROR`.
  """
  H = run.model.config.H
  error = config.keys_or_error(spec)
  if error is None or isinstance(error, int):
    return Windows((min(error or length, length),) * H)
  check(run.model, run.params, spec)
  sample, name = _held_out(run.text(), 8 * run.config.train.T)
  kept = _certified(run.model, run.params, sample, length, error)
  log.info(
    'at up to %s tokens an error of %g is certified, by what %s tokens of %s '
    'saw, by windows of %s%s', f'{length:,}', error,
    f'{sample.shape[1] - 1:,}', name, kept.label,
    '' if kept.clock is None else ' (p_i - p_j of the clock)',
  )  # fmt: skip
  return kept


def _held_out(
  text: data.Dataset, n: int
) -> tuple[Int[np.ndarray, '1 T1'], str]:
  """About n tokens that were not trained on, and what they are."""
  splits = text.manifest['splits']
  split = next(s for s in ('valid', 'test', 'train') if s in splits)
  if isinstance(text, data.Generated):
    (one,) = text.examples
    return one.read([0], n, stream=split).tokens, f'a {split} example'
  tokens = np.asarray(text.tokens(split)[: n + 1])
  return tokens.astype(np.int32)[None], f'{split} text'


def _certified(
  m: model.Model,
  params: dict,
  sample: Int[np.ndarray, '1 T1'],
  length: int,
  error: float,
) -> Windows:
  """Windows whose own Z certifies them, as small as this way finds.

  A smaller window has a smaller Z, which certifies less: from what the full
  one would allow, upwards until nothing changes.
  """
  tails, kernels = _tails_or_kernels(m, params, length)
  T, H = sample.shape[1] - 1, m.config.H
  need = (1,) * H
  tried = need if kernels and all(kernels) else (T,) * H
  by_clock = np.asarray([[k is not None] * H for k in kernels or ()])
  far, far_tried = (
    np.where(by_clock, np.float32(x), np.float32(np.nan)) for x in (0, np.inf)
  )
  compiled = functools.cache(
    lambda w: jax.jit(functools.partial(measured, m.network, window=w))
  )
  while True:
    given = far_tried if kernels else None
    _, (lse, most, spread, *_) = compiled(tried)(
      params, m.bias(params, T), sample, differences=given
    )
    excess = np.asarray(most - lse, np.float64).max(axis=(1, 2))
    p = error / np.maximum(2 * np.asarray(spread, np.float64)[:, 0, 0], error)
    with np.errstate(divide='ignore'):  # of p = 1: everything
      allowed = np.log(p / (1 - p)) - excess  # of ln T_w
    least = (tails > allowed[..., None]).sum(axis=-1).max(axis=0)
    need = tuple(max(int(w), n) for w, n in zip(least, need, strict=True))
    shown = tuple(min(w, T) for w in need)
    if kernels:
      far = clock_window.enlarged(far, kernels, allowed, length)
    if shown == tried and np.array_equal(far, far_tried, equal_nan=True):
      keys = tuple(min(w, length) for w in need)
      return Windows(keys, far if kernels else None)
    tried, far_tried = shown, far
