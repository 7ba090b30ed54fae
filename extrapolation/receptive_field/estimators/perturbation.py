"""Input perturbation: another token at distance d, and what the output does.

The token is replaced by one drawn from the same text, and the change of the
next token's distribution p is measured as total variation, |p - p'|_1 / 2, and
as KL(p, p'). Every window has one distance in each of the ranges 2^i .. 2^(i+1)
- 1, drawn without gaps over the windows; bins of a quarter of an octave are
averaged, and weigh as many distances as they are wide.

What lies before the token is not computed again, unless a rotation is of all
tokens of a pass: its keys and values are those of the reference pass.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from extrapolation import attention, config, rpe
from extrapolation.model import Network, logits, rotated_alike
from extrapolation.receptive_field.estimators import (
  flop_count,
  forward_pass,
  last_queries,
)
from extrapolation.receptive_field.estimators.settings import Settings

FORMULA = 'sum over ranges [a, b) of one forward pass of b tokens after n - b'
SMALL = 64  # ranges that end within it run side by side
NOISE = 1e-5  # total variation that float32 makes of nothing


def ranges(n: int) -> list[tuple[int, int]]:
  """[0, 1), [1, 2), [2, 4), [4, 8) ... up to n."""
  edges = [0, *(2**i for i in range((n - 1).bit_length())), n]
  return list(itertools.pairwise(edges))


def bins(n: int) -> Int[np.ndarray, ' b']:
  """Edges of the bins that distances are averaged in; the last is n."""
  edges = {round(2 ** (i / 4)) for i in range(4 * n.bit_length() + 1)}
  return np.asarray([0, *sorted(e for e in edges if e < n), n])


def draw(
  tokens: Integer[np.ndarray, ' t'],
  index: Int[np.ndarray, ' B'],
  settings: Settings,
) -> tuple[Int[np.ndarray, 'B r'], Int[np.ndarray, 'B r']]:
  """Distances and the tokens to put there, by range, of windows by index.

  Window i has in each range the part frac(i phi) of it, phi the golden
  ratio, which fills the range evenly. The other token is one that the text has
  elsewhere, and differs.
  """
  part = np.modf(index * (5**0.5 - 1) / 2 + 0.5)[0]
  edges = np.asarray(ranges(settings.length))
  d = edges[:, 0] + (part[:, None] * np.diff(edges)[:, 0]).astype(np.int64)
  other = np.empty(d.shape, np.int32)
  for row, i in zip(other, index, strict=True):
    rng = np.random.default_rng((settings.seed, int(i)))
    row[:] = tokens[rng.integers(0, len(tokens), len(row))]
  return d, other


def make(network: Network, settings: Settings) -> Callable[..., tuple]:
  """`(params, bias, batch, reference, d, other) -> tv, kl [B, ranges]`."""
  n = small = settings.length
  if all(rotated_alike(form, network.config)(n) for form in network.forms):
    small = min(SMALL, n)  # else what lies before has to be rotated again
  groups = {}  # by tokens computed anew
  for i, (_, b) in enumerate(ranges(n)):
    groups.setdefault(max(b, small), []).append(i)

  def last_states(params, bias, text, reference, S, d, other):
    """Hidden states [B g, D] of texts whose last S tokens are run again."""
    B, g = d.shape
    suffix = jnp.repeat(text[:, n - S :], g, 0)
    row, column = jnp.arange(B * g), S - 1 - d.reshape(-1)
    was, new = suffix[row, column], other.reshape(-1)
    new = jnp.where(new == was, (new + 1) % network.V, new)
    suffix = suffix.at[row, column].set(new)

    def attend(q, k, v, bias, layer, **kw):
      top = layer == network.config.N - 1
      if S == n and not top:
        return attention.attend(q, k, v, bias, **kw)
      q, added = last_queries.read(q, bias, **kw)
      if S < n:
        k, v = (
          jnp.concatenate([jnp.repeat(old[:, : n - S], g, 0), new], 1)
          for old, new in ((reference.k[layer], k), (reference.v[layer], v))
        )
        added = last_queries.continued(added, reference.bias[layer], n, g)
      return last_queries.attend(q[:, -1:] if top else q, k, v, added)

    kw = {}
    if S < n:
      last = jnp.repeat(text[:, n - S - 1 : n - S], g, 0)
      kw['previous'] = jnp.concatenate([last, suffix[:, :-1]], 1)
      bias = _elapsed(bias, reference.bias, n - S - 1, g)
    positions = jnp.arange(n - S, n)
    x = forward_pass.hidden(
      network, params, bias, suffix, positions=positions, attend=attend, **kw
    )
    return x[:, -1]

  def run(params, bias, batch, reference, d, other):
    p = jax.nn.log_softmax(logits(params, reference.x))[:, None]
    tv, kl = [], []
    for S, i in groups.items():
      i = jnp.asarray(i)
      x = last_states(
        params, bias, batch[:, :-1], reference, S, d[:, i], other[:, i]
      )
      new = jax.nn.log_softmax(logits(params, x))
      new = new.reshape(len(batch), len(i), -1)
      moved = jnp.abs(jnp.exp(p) - jnp.exp(new)).sum(-1) / 2
      tv.append(jnp.where(moved > NOISE, moved, 0))
      kl.append(jnp.where(moved > NOISE, (jnp.exp(p) * (p - new)).sum(-1), 0))
    order = np.argsort(np.concatenate([*groups.values()]))
    return tuple(jnp.concatenate(x, 1)[:, order] for x in (tv, kl))

  return run


def _elapsed(bias: Any, before: list, last: int, copies: int) -> Any:
  """The bias of each layer, with its clock at token `last` where it has one."""
  clocks = [getattr(x, 'clock', None) for x in before]
  if not any(clocks):
    return bias
  layers = []
  for i, clock in enumerate(clocks):
    layer = rpe.of_layer(bias, i)
    if clock is not None:
      p = (clock.whole + clock.part)[:, last : last + 1]
      p = jnp.repeat(p, copies, 0) if len(p) > 1 else p
      layer = layer | dict(elapsed=p)
    layers.append(layer)
  return layers


def binned(
  n: int,
  d: Int[np.ndarray, 'B r'],
  values: Float[Array | np.ndarray, 'B r'],
) -> Float[np.ndarray, 'B 2 b']:
  """Sum and number of the values at distances d in each bin."""
  edges = bins(n)
  where = np.searchsorted(edges, d, 'right') - 1
  inside = where[..., None] == np.arange(len(edges) - 1)  # [B, r, b]
  sums = (np.asarray(values, np.float64)[..., None] * inside).sum(1)
  return np.stack([sums, inside.sum(1)], 1)


def profile(
  n: int, total: Float[np.ndarray, 'R 2 b']
) -> Float[np.ndarray, 'R n']:
  """Mean change by distance; a bin without windows has its left one's.

  The bin of distance 0 is never empty.
  """
  edges = bins(n)
  seen = total[:, 1] > 0
  filled = np.maximum.accumulate(np.where(seen, np.arange(seen.shape[1]), 0), 1)
  mean = np.maximum(total[:, 0], 0) / np.maximum(total[:, 1], 1)
  mean = np.take_along_axis(mean, filled, 1)
  return np.repeat(mean, np.diff(edges), axis=1)


def flops(sizes: config.Network, V: int, settings: Settings) -> int:
  n, small = settings.length, min(SMALL, settings.length)
  rerun = [max(b, small) for _, b in ranges(n)]
  return sum(flop_count.forward(sizes, V, S, keys=n - S) for S in rerun)
