"""Context truncation: the loss of one token against the context it is given.

Exact: the last c tokens are run through the model as a text of their own. The
field is the shortest context from which on the mean loss stays within a
tolerance of that with all n tokens: `nats`, or eps of what context beyond the
token itself changes, |L(1) - L(n)|. Contexts are powers of two, so a field is
bracketed by (c / 2, c] and read off between them, linear in log c.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from extrapolation import config
from extrapolation.model import Network, logits
from extrapolation.receptive_field.estimators import flop_count, forward_pass
from extrapolation.receptive_field.estimators.settings import Settings

FORMULA = 'sum over contexts c < n of one forward pass of c tokens'
SMALL = 64  # contexts up to it run side by side, padded after their end


def contexts(n: int) -> list[int]:
  """1, 2, 4, ... and n itself."""
  return [2**i for i in range((n - 1).bit_length())] + [n]


def make(network: Network, settings: Settings) -> forward_pass.Estimator:
  """Leaves `truncation` [B, contexts] in nats, and `truncated`, ones [B]."""
  n, small = settings.length, min(SMALL, settings.length)

  def run(
    params: dict, bias: Any, batch: Array, reference: forward_pass.ForwardPass
  ) -> dict[str, Array]:
    text, targets = batch[:, :-1], batch[:, -1]
    few = [c for c in contexts(n)[:-1] if c <= small]
    padded = [jnp.pad(text[:, n - c :], ((0, 0), (0, small - c))) for c in few]
    # What comes after a query does not reach it: padding changes nothing.
    x = forward_pass.hidden(network, params, bias, jnp.concatenate(padded))
    x = x.reshape(len(few), len(batch), *x.shape[1:])
    states = [x[i, :, c - 1] for i, c in enumerate(few)]
    attend = forward_pass.last_only(network, 1)
    for c in contexts(n)[len(few) : -1]:
      part = text[:, n - c :]
      x = forward_pass.hidden(network, params, bias, part, attend=attend)
      states.append(x[:, -1])
    states.append(reference.x)
    nats = [forward_pass.nats(logits(params, x), targets) for x in states]
    return dict(truncation=jnp.stack(nats, 1), truncated=jnp.ones(len(batch)))

  return run


def fields(
  n: int, totals: dict, eps: Sequence[float], nats: float
) -> Float[np.ndarray, 'R t 3']:
  """Estimate, lowest, highest field by tolerance: within nats, then each eps.

  Args:
    n: the full context.
    totals: sums over windows, [R, contexts] of nats and [R] of windows.
  """
  c = np.asarray(contexts(n), float)
  mean = totals['truncation'] / totals['truncated'][:, None]
  excess = np.abs(mean - mean[:, -1:])
  tolerances = [np.full(len(mean), nats)]
  tolerances += [float(e) * excess[:, 0] for e in eps]
  out = []
  for tolerance in tolerances:
    outside = excess > tolerance[:, None]
    # The last context outside; -1 if even one token is within.
    last = np.where(outside.any(1), len(c) - 1 - outside[:, ::-1].argmax(1), -1)
    low = np.where(last < 0, 1, c[last] + 1)
    high = c[last + 1]
    before, after = (
      np.take_along_axis(excess, np.maximum(i, 0)[:, None], 1)[:, 0]
      for i in (last, last + 1)
    )
    gap = np.where(before > after, before - after, np.inf)
    part = (before - tolerance) / gap
    between = c[last] * (high / c[last]) ** part
    out.append([np.where(last < 0, 1, np.ceil(between)), low, high])
  return np.moveaxis(np.asarray(out), -1, 0)


def flops(sizes: config.Network, V: int, settings: Settings) -> int:
  n, small = settings.length, min(SMALL, settings.length)
  rerun = [max(c, small) for c in contexts(n)[:-1]]
  return sum(flop_count.forward(sizes, V, c) for c in rerun)
