"""The certificate of a window beside the error that the window really has."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from extrapolation import attention
from extrapolation.attention import window_bound
from extrapolation.evaluation import window_certificate
from extrapolation.model import Model, Network, cross_entropy, logits
from extrapolation.receptive_field import loss_bound
from extrapolation.receptive_field.estimators import forward_pass

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
  lose most, and bound_mean over all. seen: the largest such error of one
  attention, whose inputs were computed without a window, as they were for the
  bounds. nats, nats_max: what the window in all layers at once changes of the
  loss, mean (signed) and largest of all tokens; logits_max of the last query's
  logits. nats_bound: what nats_max can be (loss_bound.py); None where that
  says nothing, and for an encoding that is more than a bias.
  """
  n = batch.shape[1] - 1
  network, bias = model.network, model.bias(params, n)
  all_tails = window_certificate.log_tails(model, params, n)
  full = _losses(network, params, bias, batch)
  out = []
  for w in widths:
    window = jnp.where(jnp.arange(n) < w, bias, -jnp.inf)
    cut = _losses(network, params, window, batch)
    delta, moved = (
      np.asarray(a, np.float64) - np.asarray(b, np.float64)
      for a, b in zip(cut, full, strict=True)
    )
    tails = np.asarray(all_tails[..., w], np.float32)
    wide = np.asarray(bias, np.float64)
    near = np.logaddexp.reduce(wide[..., :w], axis=-1).astype(np.float32)
    seen, certain, prior, *inner = _errors(
      network, params, bias, batch, tails, near, w
    )
    nats_bound = None
    if model.encoding.bias_only:
      nats_bound = loss_bound.nats(network, params, *inner)
    out.append(
      dict(
        keys=w,
        prior=float(prior),
        bound=float(certain.max()),
        bound_mean=float(certain.mean()),
        seen=float(seen),
        nats=float(delta.mean()),
        nats_max=float(np.abs(delta).max()),
        nats_bound=nats_bound,
        logits_max=float(np.abs(moved).max()),
      )
    )
  return out


@functools.partial(jax.jit, static_argnums=0)
def _losses(
  network: Network, params: dict, bias: Array, batch: Array
) -> tuple[Float[Array, 'B n'], Float[Array, 'B V']]:
  """(nats, logits of the last query)."""
  x = forward_pass.hidden(network, params, bias, batch[:, :-1])
  E = params['embed']['embedding']
  nats = cross_entropy.token_nll(x, E, batch[:, 1:])
  return nats, logits(params, x[:, -1])


@functools.partial(jax.jit, static_argnums=0)
def _errors(
  network: Network,
  params: dict,
  bias: Array,
  batch: Array,
  tails: Array,
  log_near: Array,
  window: int,
) -> tuple[Array, Array, Array, list, Array]:
  """The largest error of an attention; the certificate's of every query; the
  largest that the span of the logits, max - min, allows; and what
  `loss_bound.nats` needs.
  """
  errors, seen, prior, heads, spreads = [], [], [], [], []
  keys = (window,) * network.config.H

  def attend(q, k, v, bias, layer):
    near = jnp.where(jnp.arange(bias.shape[1]) < window, bias, -jnp.inf)
    o = attention.attend(q, k, v, bias)
    o_w, lse = attention.attend_with_lse(q, k, v, near)
    error = jnp.linalg.norm(o_w - o, axis=-1)
    sizes = [window_bound.norm(x).max(1) for x in (q, k, v)]  # [B, H]
    largest = sizes[-1]
    errors.append((error.max(1) / largest).max())
    seen.append(window_certificate.Seen.of(lse, q, k, v))
    osc = window_bound.oscillation_bound(q, k).max(1)  # [B, H]
    p = window_bound.dropped(tails[layer], log_near[layer], osc)
    prior.append((2 * p * seen[-1].spread[:, 0]).max())
    radius = seen[-1].spread * largest[:, None]
    most = seen[-1].most
    delta = window_bound.moved(lse, most, radius, tails[layer], keys)
    of = [delta.max(1), *sizes[:2], 2 * radius[:, 0]]
    heads.append([x.max(0) for x in of])
    return o

  def add(x, update):
    spreads.append(tuple(map(loss_bound.deviation, (x, x + update))))
    ends.append(x + update)
    return x + update

  ends = []
  network.hidden(params, bias, batch[:, :-1], attend=attend, add=add)
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *seen)
  certain = window_certificate.lost(stacked, tails, keys)
  layers = [
    loss_bound.Layer(*h, *s) for h, s in zip(heads, spreads, strict=True)
  ]
  last = loss_bound.after(network, params, ends[-1])
  return (
    jnp.stack(errors).max(), certain, jnp.stack(prior).max(), layers, last
  )  # fmt: skip
