"""Windows for a trained model: the keys a head needs, and what is lost.

Theory bounds the error of dropping all keys beyond a window by the weights
alone, given how large logits get (theory/window.py). This measures the latter.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import attention, run, theory
from extrapolation import model as model_lib
from extrapolation.theory import bound


def measured(m: model_lib.Model, params, batch, window=None):
  """Nats [B, T] of batch [B, T + 1], and the largest |q.k| / sqrt K can be.

  The bound is over all queries, keys, heads and layers, by Cauchy-Schwarz.
  """
  m, params = model_lib.unrolled(m, params)
  seen = []

  def attend(q, k, v, bias):
    seen.append(bound.logit_bound(q, k).max())
    return attention.attend(q, k, v, bias, window=window)

  nats = m.nll(params, batch[:, :-1], batch[:, 1:], attend=attend)
  return nats, jnp.stack(seen).max()


def windows(
  spec: str, r: run.Trained, length: int, say: Callable = print
) -> tuple[int, ...]:
  """Keys kept by each head for a text of at most `length` tokens.

  Raises:
    ValueError: not `full`, a number >= 1, or `certified:ERROR`.
  """
  m, H = r.model, r.model.config.H
  kind, _, number = spec.partition(':')
  if spec == 'full':
    return (length,) * H
  if spec.isdigit() and int(spec) > 0:
    return (min(int(spec), length),) * H
  try:
    error = float(number)
  except ValueError:
    error = 0.0
  if kind != 'certified' or not 0 < error < 1:
    raise ValueError(
      f'--window={spec}: needs full, a number of keys, or '
      'certified:ERROR with 0 < ERROR < 1'
    )
  T = r.config.train.T
  split = next(s for s in ('valid', 'test', 'train') if s in
               r.text.manifest['splits'])  # fmt: skip
  sample = np.asarray(r.text.tokens(split)[: 8 * T + 1], np.int32)[None]
  M = float(jax.jit(functools.partial(measured, m))(r.params, sample)[1])
  found = [1] * H
  rows = m.rpe_params(r.params)
  for i in range(m.config.N if m.config.rpe_per_layer else 1):
    layer = {name: value[i] for name, value in rows.items()}
    one = theory.window(m.encoding, layer, error=error, M=M, horizon=length)
    found = [max(a, b) for a, b in zip(found, one, strict=True)]
  say(
    f'logits are at most {M:.1f} on {sample.size - 1:,} tokens of {split} '
    f'text; at up to {length:,} tokens an error of {error:g} is certified '
    'by windows of ' + ', '.join(f'{w:,}' for w in found)
  )
  return tuple(found)


def error(
  m: model_lib.Model, params, window: tuple[int, ...], length: int, M: float
) -> float:
  """What `window` can change in any attention output, over its largest ||v||.

  2 p for the head and layer where theory's bound p is largest, with logits of
  at most M and texts of at most `length` tokens.
  """
  b = np.asarray(m.bias(params, length), np.float64)  # [N, H, n]
  far = np.arange(length) >= np.asarray(window)[:, None]
  near_sum = np.logaddexp.reduce(np.where(far, -np.inf, b), axis=-1)
  tail_sum = np.logaddexp.reduce(np.where(far, b, -np.inf), axis=-1)
  return float(2 * bound.dropped(tail_sum, near_sum, M).max())
