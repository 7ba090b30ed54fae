r"""Windows for a trained model: the keys a head needs, and what is lost.

A query that sees the nearest w keys alone loses at most the share

  p = e^m T_w / (Z + e^m T_w),  T_w = sum_{t >= w} e^{bias(t)},

of its weights, and its output moves by at most 2 p r, r the radius of a ball
that holds the values. Z, the sum of exp(logit + bias) over the keys seen, m >=
its logits and r are measured here, T_w comes from the encoding's table
(attention/window_bound.py). Errors are shares of the largest value vector.
"""

import functools
import logging
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from extrapolation import attention, config, model, runs
from extrapolation.attention import window_bound
from extrapolation.evaluation import largest_weight
from extrapolation.parallel import mesh

CHECKED = 64  # tokens of the text that `check` asks about

log = logging.getLogger(__name__)


class Seen(NamedTuple):
  """Of every query, by layer: lse = ln Z, m, and r over the largest ||v||."""

  lse: Float[Array, 'N B T H']
  most: Float[Array, 'N B T H']
  spread: Float[Array, 'N B 1 H']

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
) -> tuple[Float[Array, 'B T'], Seen]:
  """Nats of batch [B, T + 1] under a window, and what its queries saw."""
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
    del layer
    kw |= dict(window=window, heat=heat)
    o, lse = attention.attend_with_lse(q, k, v, bias, **kw)
    q = q if heat is None else q * heat[..., None]
    return o, Seen.of(lse, q, k, v)

  x, seen = network.hidden(params, bias, inputs, attend=attend)
  return model.token_nll(params, x, targets), seen


def lost(
  seen: Seen, log_tails: Float[Array, 'N H'], window: tuple[int, ...]
) -> Float[Array, 'N B T H']:
  """2 p r of every query; 0 of those with no key beyond their window."""
  return window_bound.moved(*seen, log_tails[:, None, None], window)


def log_tails(m: model.Model, params: dict, length: int) -> np.ndarray:
  """ln T_w, w = 0 .. length, of a text so long: [N, H, length + 1].

  Raises:
    ValueError: as `largest_weight.log_weights`.
  """
  bias = largest_weight.log_weights(m, params, length)
  tails = np.logaddexp.accumulate(bias[..., ::-1], axis=-1)[..., ::-1]
  return np.pad(tails, ((0, 0), (0, 0), (0, 1)), constant_values=-np.inf)


def bounded_tails(
  m: model.Model, params: dict, length: int, keys: tuple[int, ...]
) -> Float[Array, 'N H'] | None:
  """ln T_w at the window of each head; None, and why, if nothing bounds it."""
  try:
    tails = log_tails(m, params, length)
  except ValueError as e:
    log.info('window_error and window_error_mean stay empty: %s', e)
    return None
  return jnp.asarray(tails[:, np.arange(len(keys)), keys], jnp.float32)


def check(m: model.Model, params: dict, spec: str) -> None:
  """Raises ValueError if `certified:ERROR` is asked for and nothing bounds it.

  It bounds the weight of keys by their number i - j: a clock may put all of
  them near, a heat of the bias changes their weight with the query, and a score
  may give weight to keys of any bias.
  """
  if isinstance(config.keys_or_error(spec), float):
    try:
      largest_weight.log_weights(m, params, CHECKED)
    except ValueError as e:
      raise ValueError(
        f'window {spec}: {e}; take window=full, or keys'
      ) from None


def windows(spec: str, run: runs.Trained, length: int) -> tuple[int, ...]:
  """Keys kept by each head for a text of at most `length` tokens.

  `certified:ERROR` keeps 2 p r <= ERROR in every layer, for every query of a
  sample of the run's held-out text.

  Raises:
    ValueError: not `full`, a number >= 1, or `certified:ERROR`.
  """
  H = run.model.config.H
  error = config.keys_or_error(spec)
  if error is None or isinstance(error, int):
    return (min(error or length, length),) * H
  check(run.model, run.params, spec)
  text = run.text()
  splits = text.manifest['splits']
  split = next(s for s in ('valid', 'test', 'train') if s in splits)
  sample = np.asarray(text.tokens(split)[: 8 * run.config.train.T + 1])
  kept = _certified(
    run.model, run.params, sample.astype(np.int32)[None], length, error
  )
  log.info(
    'at up to %s tokens an error of %g is certified, by what %s tokens of %s '
    'text saw, by windows of %s', f'{length:,}', error,
    f'{len(sample) - 1:,}', split, ', '.join(f'{w:,}' for w in kept),
  )  # fmt: skip
  return kept


def _certified(
  m: model.Model,
  params: dict,
  sample: Int[np.ndarray, '1 T1'],
  length: int,
  error: float,
) -> tuple[int, ...]:
  """Windows whose own Z certifies them, as small as this way finds.

  A smaller window has a smaller Z, which certifies less: from what the full
  one would allow, upwards until nothing changes.
  """
  tails = log_tails(m, params, length)
  T = sample.shape[1] - 1
  need, tried = (1,) * m.config.H, (T,) * m.config.H
  while True:
    step = jax.jit(functools.partial(measured, m.network, window=tried))
    _, (lse, most, spread) = step(params, m.bias(params, T), sample)
    excess = np.asarray(most - lse, np.float64).max(axis=(1, 2))
    p = error / np.maximum(2 * np.asarray(spread, np.float64)[:, 0, 0], error)
    with np.errstate(divide='ignore'):  # of p = 1: everything
      allowed = np.log(p / (1 - p)) - excess  # of ln T_w
    least = (tails > allowed[..., None]).sum(axis=-1).max(axis=0)
    need = tuple(max(int(w), n) for w, n in zip(least, need, strict=True))
    shown = tuple(min(w, T) for w in need)
    if shown == tried:
      return tuple(min(w, length) for w in need)
    tried = shown
