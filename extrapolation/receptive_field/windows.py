"""The certificate of a window beside the error that the window really makes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import attention, certificate, loss, model
from extrapolation.theory import bound

COLUMNS = ('keys', 'prior', 'bound', 'bound_mean', 'seen', 'nats', 'nats_max',
           'logits_max')  # fmt: skip


def widths(n: int, train: int) -> list[int]:
  some = {max(1, n // 16), max(1, n // 4), max(1, n // 2), train}
  return sorted(w for w in some if w < n)


def check(m, params, batch, keys: list[int], M: np.ndarray) -> list[dict]:
  """A row for each number of keys kept by all heads, on texts [B, n + 1].

  prior: theory's bound on ||o - o_w|| over the largest ||v||, of any
  attention, from M [N, H] alone. bound: the certificate's, which knows what
  each query saw (certificate.py), for the query that may lose most, and
  bound_mean over all. seen: the largest such error of one attention, whose
  inputs were computed without a window, as they were for the bounds. nats,
  nats_max: what the window in all layers at once changes of the loss, mean
  (signed) and largest of all tokens; logits_max
  of the last query's logits.
  """
  n = batch.shape[1] - 1
  tables = np.asarray(m.bias(params, n), np.float64)
  out = []
  plain = jax.jit(functools.partial(_run, m))(params, batch)
  for w in keys:
    nats, logits = jax.jit(functools.partial(_run, m, window=w))(params, batch)
    tails = np.asarray(certificate.log_tails(m, params, n)[..., w], np.float32)
    one = jax.jit(functools.partial(_seen, m, window=w))
    seen, certain = one(params, batch, tails)
    delta, moved = (
      np.asarray(a, np.float64) - np.asarray(b, np.float64)
      for a, b in zip((nats, logits), plain, strict=True)
    )
    near, far = (
      np.logaddexp.reduce(part, axis=-1)
      for part in (tables[..., :w], tables[..., w:])
    )
    out.append(dict(
      keys=w,
      prior=float(2 * bound.dropped(far, near, M).max()),
      bound=float(certain.max()),
      bound_mean=float(certain.mean()),
      seen=float(seen),
      nats=float(delta.mean()),
      nats_max=float(np.abs(delta).max()),
      logits_max=float(np.abs(moved).max()),
    ))  # fmt: skip
  return out


def _run(m, params, batch, window=None):
  attend = functools.partial(attention.attend, window=window)
  x = m.hidden(params, batch[:, :-1], attend=attend)
  E = params['embed']['embedding']
  nats = loss.token_nll(x, E, batch[:, 1:])
  return nats, model.logits(params, x[:, -1])


def _seen(m, params, batch, tails, window):
  """The largest error of an attention; the certificate's of every query."""
  found, seen = [], []

  def attend(q, k, v, bias):
    o = attention.attend(q, k, v, bias)
    near, log_sum = attention.attend_and_log_sum(q, k, v, bias, window=window)
    error = jnp.linalg.norm(near - o, axis=-1)
    largest = jnp.linalg.norm(v, axis=-1).max(1)  # of each text and head
    found.append((error.max(1) / largest).max())
    seen.append(certificate.Seen(log_sum, bound.query_bound(q, k)))
    return o

  m.hidden(params, batch[:, :-1], attend=attend)
  seen = jax.tree.map(lambda *x: jnp.stack(x), *seen)
  certain = certificate.lost(seen, tails, (window,) * m.config.H)
  return jnp.stack(found).max(), certain
