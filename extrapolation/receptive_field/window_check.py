"""The certificate of a window beside the error that the window really has."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from extrapolation import attention
from extrapolation.attention import window_bound
from extrapolation.evaluation import window_certificate
from extrapolation.model import Model, Network, cross_entropy, logits
from extrapolation.receptive_field import loss_bound
from extrapolation.receptive_field.estimators import forward_pass, last_queries

COLUMNS = ('keys', 'prior', 'bound', 'bound_mean', 'seen', 'nats', 'nats_max',
           'nats_bound', 'logits_max')  # fmt: skip


def widths(n: int, train: int) -> list[int]:
  """Windows worth a look, shorter than the text of n tokens."""
  some = {max(1, n // 16), max(1, n // 4), max(1, n // 2), train}
  return sorted(w for w in some if w < n)


def check(
  model: Model,
  params: dict,
  batch: Int[Array, 'B n1'],
  widths: Sequence[int],
) -> list[dict]:
  """A row for each number of keys kept by all heads, on texts [B, n + 1].

  prior: theory's bound on ||o - o_w|| over the largest ||v||, of any
  attention, from the span of the logits alone. bound: the certificate's, which
  knows what each query saw (window_certificate.py), for the query that may
  lose most, and bound_mean over all. All three are None where weights are no
  function of i - j: nothing bounds what is left out. seen: the largest such
  error of one attention, whose inputs were computed without a window, as they
  were for the bounds. nats, nats_max: what the window in all layers at once
  changes of the loss, mean (signed) and largest of all tokens; logits_max of
  the last query's logits. nats_bound: what nats_max can be (loss_bound.py);
  None where that says nothing, and for an encoding that is more than a bias.
  """
  n = batch.shape[1] - 1
  network, bias = model.network, model.bias(params, n)
  table = np.asarray(bias, np.float64) if model.by_distance else None
  full = _losses(network, n, params, bias, batch)
  out = []
  for w in widths:
    cut = _losses(network, w, params, bias, batch)
    delta, moved = (
      np.asarray(a, np.float64) - np.asarray(b, np.float64)
      for a, b in zip(cut, full, strict=True)
    )
    row = dict(keys=w, prior=None, bound=None, bound_mean=None)
    error, *seen = _errors(network, w, table is not None, params, bias, batch)
    nats_bound = None
    if table is not None:
      tails, near = (
        np.logaddexp.reduce(x, axis=-1).astype(np.float32)
        for x in (table[..., w:], table[..., :w])
      )
      certain, prior, layers, last = _bounds(w, tails, near, *seen)
      row |= dict(
        prior=float(prior),
        bound=float(certain.max()),
        bound_mean=float(certain.mean()),
      )
      if all(e.bias_only for e in model.encodings):
        nats_bound = loss_bound.nats(network, params, layers, last)
    out.append(
      row
      | dict(
        seen=float(error),
        nats=float(delta.mean()),
        nats_max=float(np.abs(delta).max()),
        nats_bound=nats_bound,
        logits_max=float(np.abs(moved).max()),
      )
    )
  return out


@functools.partial(jax.jit, static_argnums=(0, 1))
def _losses(
  network: Network, window: int, params: dict, bias: Any, batch: Array
) -> tuple[Float[Array, 'B n'], Float[Array, 'B V']]:
  """(nats, logits of the last query) where queries see `window` keys."""

  def attend(q, k, v, bias, layer, **kw):
    return attention.attend(q, k, v, bias, window=window, **kw)

  x = forward_pass.hidden(network, params, bias, batch[:, :-1], attend=attend)
  E = params['embed']['embedding']
  nats = cross_entropy.token_nll(x, E, batch[:, 1:])
  return nats, logits(params, x[:, -1])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _errors(
  network: Network,
  window: int,
  bounded: bool,
  params: dict,
  bias: Any,
  batch: Array,
) -> tuple:
  """The largest error of an attention, and, if it is, what it is bounded by.

  That is, of each layer what queries saw of their window, the largest norms
  of q, k and v, how far two logits of a query can be apart, [B, H], and least
  deviations before the layer norms; then that before the last norm.
  """
  errors, seen, spreads, ends = [], [], [], []

  def attend(q, k, v, bias, layer, **kw):
    o = attention.attend(q, k, v, bias, **kw)
    if bounded:
      o_w, lse = attention.attend_with_lse(q, k, v, bias, window=window, **kw)
    else:
      o_w, lse = attention.attend(q, k, v, bias, window=window, **kw), None
    error = jnp.linalg.norm(o_w - o, axis=-1)
    largest = window_bound.norm(v).max(1)  # [B, H]
    errors.append((error.max(1) / largest).max())
    if lse is None:
      return o
    q = last_queries.read(q, bias, **kw)[0]
    sizes = [*(window_bound.norm(x).max(1) for x in (q, k)), largest]
    osc = window_bound.oscillation_bound(q, k).max(1)
    seen.append((window_certificate.Seen.of(lse, q, k, v), sizes, osc))
    return o

  def add(x, update):
    spreads.append(tuple(map(loss_bound.deviation, (x, x + update))))
    ends.append(x + update)
    return x + update

  network.hidden(params, bias, batch[:, :-1], attend=attend, add=add)
  last = loss_bound.after(network, params, ends[-1])
  return jnp.stack(errors).max(), seen, spreads, last


@functools.partial(jax.jit, static_argnums=0)
def _bounds(
  window: int,
  tails: Float[Array, 'N H'],
  log_near: Float[Array, 'N H'],
  of_layers: list,
  spreads: list,
  last: Array,
) -> tuple[Array, Array, list, Array]:
  """The certificate's of every query; the largest error that the span of the
  logits, max - min, allows; and what `loss_bound.nats` needs.
  """
  prior, layers = [], []
  keys = (window,) * tails.shape[1]
  for i, ((seen, sizes, osc), spread) in enumerate(
    zip(of_layers, spreads, strict=True)
  ):
    p = window_bound.dropped(tails[i], log_near[i], osc)
    prior.append((2 * p * seen.spread[:, 0]).max())
    radius = seen.spread * sizes[-1][:, None]
    delta = window_bound.moved(seen.lse, seen.most, radius, tails[i], keys)
    of = [delta.max(1), *sizes[:2], 2 * radius[:, 0]]
    layers.append(loss_bound.Layer(*(x.max(0) for x in of), *spread))
  stacked = jax.tree.map(
    lambda *x: jnp.stack(x), *(seen for seen, *_ in of_layers)
  )
  certain = window_certificate.lost(stacked, tails, keys)
  return certain, jnp.stack(prior).max(), layers, last
