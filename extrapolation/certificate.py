r"""Windows for a trained model: the keys a head needs, and what is lost.

A query that sees the nearest w keys alone loses at most the share

  p = e^m T_w / (Z + e^m T_w),  T_w = sum_{t >= w} e^{bias(t)},

of its weights, and its output moves by at most 2 p max ||v||. Z, the sum of
exp(logit + bias) over the keys seen, and m >= its logits are measured here, T_w
comes from the encoding's table (theory/window.py; theory/bound.py).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation import attention, loss, parallel, protocol, run
from extrapolation import model as model_lib
from extrapolation.theory import bound


class Seen(NamedTuple):
  """Of every query, by layer: ln Z, and m = ||q|| max ||k|| / sqrt K."""

  log_sum: Float[Array, 'N B T H']
  most: Float[Array, 'N B T H']


def measured(
  m: model_lib.Model, params, batch, window: tuple[int, ...]
) -> tuple[Float[Array, 'B T'], Seen]:
  """Nats of batch [B, T + 1] under a window, and what its queries saw."""
  inputs, targets = parallel.shifted(batch)
  m, params = model_lib.for_length(m, params, inputs.shape[1])

  def attend(q, k, v, bias):
    o, log_sum = attention.attend_and_log_sum(q, k, v, bias, window=window)
    return o, Seen(log_sum, bound.query_bound(q, k))

  x, seen = m.hidden(params, inputs, attend=attend)
  return loss.token_nll(x, params['embed']['embedding'], targets), seen


def lost(
  seen: Seen, log_tails: Float[Array, 'N H'], window: tuple[int, ...]
) -> Float[Array, 'N B T H']:
  """2 p of every query; 0 of those with no key beyond their window."""
  p = bound.dropped_seen(log_tails[:, None, None], *seen)
  far = jnp.arange(p.shape[2])[:, None] >= jnp.asarray(window)
  return 2 * jnp.where(far, p, 0)


def log_tails(m: model_lib.Model, params, length: int) -> np.ndarray:
  """ln T_w, w = 0 .. length, of a text so long: [N, H, length + 1]."""
  b = np.asarray(m.bias(params, length), np.float64)
  tails = np.logaddexp.accumulate(b[..., ::-1], axis=-1)[..., ::-1]
  return np.pad(tails, ((0, 0), (0, 0), (0, 1)), constant_values=-np.inf)


def windows(
  spec: str, r: run.Trained, length: int, say: Callable = print
) -> tuple[int, ...]:
  """Keys kept by each head for a text of at most `length` tokens.

  `certified:ERROR` keeps 2 p <= ERROR in every layer, for every query of a
  sample of the run's held-out text.

  Raises:
    ValueError: not `full`, a number >= 1, or `certified:ERROR`.
  """
  H = r.model.config.H
  error = protocol.keys(spec)
  if error is None or isinstance(error, int):
    return (min(error or length, length),) * H
  split = next(s for s in ('valid', 'test', 'train') if s in
               r.text.manifest['splits'])  # fmt: skip
  sample = np.asarray(r.text.tokens(split)[: 8 * r.config.train.T + 1])
  found = _certified(r.model, r.params, sample.astype(np.int32)[None], length,
                     error)  # fmt: skip
  say(
    f'at up to {length:,} tokens an error of {error:g} is certified, by what '
    f'{len(sample) - 1:,} tokens of {split} text saw, by windows of '
    + ', '.join(f'{w:,}' for w in found)
  )
  return found


def _certified(m, params, sample, length, error):
  """The smallest windows found whose own Z certifies them.

  A smaller window has a smaller Z, which certifies less: from what the full
  one would allow, upwards until nothing changes.
  """
  tails = log_tails(m, params, length)
  p = error / 2
  T = sample.shape[1] - 1
  need, tried = (1,) * m.config.H, (T,) * m.config.H
  while True:
    run_it = jax.jit(functools.partial(measured, m, window=tried))
    _, (log_sum, most) = run_it(params, sample)
    excess = np.asarray(most - log_sum, np.float64).max(axis=(1, 2))
    allowed = np.log(p / (1 - p)) - excess  # of ln T_w
    least = (tails > allowed[..., None]).sum(axis=-1).max(axis=0)
    need = tuple(max(int(w), n) for w, n in zip(least, need, strict=True))
    shown = tuple(min(w, T) for w in need)
    if shown == tried:
      return tuple(min(w, length) for w in need)
    tried = shown
