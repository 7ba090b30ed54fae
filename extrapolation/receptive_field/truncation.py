"""Context truncation: the loss of one token against the context it is given.

Exact: the last c tokens are run through the model as a text of their own. The
field is the shortest context from which on the mean loss stays within a
tolerance of that with all n tokens: `nats`, or eps of what context beyond the
token itself changes, |L(1) - L(n)|. Contexts are powers of two, so a field is
bracketed by (c / 2, c] and read off between them, linear in log c.
"""

import jax.numpy as jnp
import numpy as np

from extrapolation import model
from extrapolation.receptive_field import cost
from extrapolation.receptive_field import reference as passes

FORMULA = 'sum over contexts c < n of one forward pass of c tokens'
SMALL = 64  # contexts up to it run side by side, padded after their end


def contexts(n: int) -> list[int]:
  """1, 2, 4, ... and n itself."""
  return [2**i for i in range((n - 1).bit_length())] + [n]


def make(m, s):
  """`(params, batch, reference, tables) -> [B, contexts]`, nats."""
  n, small = s.length, min(SMALL, s.length)

  def run(params, batch, reference, tables):
    del tables
    text, targets = batch[:, :-1], batch[:, -1]
    few = [c for c in contexts(n)[:-1] if c <= small]
    padded = [jnp.pad(text[:, n - c :], ((0, 0), (0, small - c))) for c in few]
    # What comes after a query does not reach it: padding changes nothing.
    x = m.hidden(params, jnp.concatenate(padded))
    x = x.reshape(len(few), len(batch), *x.shape[1:])
    found = [x[i, :, c - 1] for i, c in enumerate(few)]
    for c in contexts(n)[len(few) : -1]:
      attend = passes.last_only(m, 1)
      found.append(m.hidden(params, text[:, n - c :], attend=attend)[:, -1])
    found.append(reference.x)
    nats = [passes.nats(model.logits(params, x), targets) for x in found]
    return dict(truncation=jnp.stack(nats, 1), truncated=jnp.ones(len(batch)))

  return run


def fields(n: int, totals: dict, eps, nats: float) -> np.ndarray:
  """[R, 1 + len(eps), 3]: estimate, lowest, highest; within nats, then eps.

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


def flops(c, V, s):
  found = contexts(s.length)[:-1]
  return sum(cost.forward(c, V, max(x, min(SMALL, s.length))) for x in found)
