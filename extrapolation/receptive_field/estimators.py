"""The table of estimators, and what each leaves of a sum over windows.

An estimator is a file: `make(m, s)` gives a function of a batch and its
reference pass, `flops(c, V, s)` and FORMULA say what it computes beyond that
pass. Its output is a sum over windows of weights by distance, [.., n], from
which `theory.coverage` takes the field, as from exp(bias).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import theory
from extrapolation.receptive_field import (
  attention_mass,
  composition,
  gradient,
  perturbation,
  rollout,
  truncation,
)

TABLE = dict(
  attention_mass=attention_mass,
  gradient=gradient,
  rollout=rollout,
  perturbation=perturbation,
  truncation=truncation,
)
ANEW = ('perturbation', 'truncation')  # these run the model again

# What is reported of the network, and the sums that it takes.
NETWORK = dict(
  attention_mass=('attention_mass',),
  gradient=('gradient',),
  rollout=('rollout',),
  perturbation_tv=('perturbation_tv',),
  perturbation_kl=('perturbation_kl',),
  composition=('attention_mass',),
  composition_share=('attention_mass', 'share'),
)


def compiled(name: str, m, s, tokens):
  """`(params, at, batch, reference, tables) -> {name: [B, ..]}` of one."""
  function = jax.jit(TABLE[name].make(m, s))
  if name != 'perturbation':
    return lambda params, at, *rest: function(params, *rest)

  def run(params, at, *rest):
    d, other = perturbation.draw(tokens, at, s)
    found = function(params, *rest, jnp.asarray(d), jnp.asarray(other))
    return {
      f'perturbation_{kind}': perturbation.binned(s.length, d, values)
      for kind, values in zip(('tv', 'kl'), found, strict=True)
    }

  return run


def weights(name: str, n: int, totals: dict) -> np.ndarray:
  """The network's weights by distance, [R, n], of a name in NETWORK."""
  first = totals[NETWORK[name][0]]
  if name == 'attention_mass':
    return first.mean((1, 2))
  if name.startswith('perturbation'):
    return perturbation.profile(n, first)
  if name.startswith('composition'):
    layers = first.mean(2)
    # Each window's kernel has the sum 1, so this is the number of windows.
    share = totals['share'] / layers.sum(-1) if 'share' in totals else 0.5
    return composition.compose(layers, share)
  return first


def fields(name: str, n: int, eps, totals: dict) -> np.ndarray:
  """n(eps) of the network, [R, eps]; NaN where no weight is left."""
  return field(weights(name, n, totals), eps)


def field(w: np.ndarray, eps) -> np.ndarray:
  """`theory.coverage`, NaN for weights that are all zero."""
  some = w.sum(-1) > 0
  out = np.full((*w.shape[:-1], len(eps)), np.nan)
  if some.any():
    out[some] = theory.coverage(w[some], eps)[1]
  return out


def by_head(n: int, eps, totals: dict) -> np.ndarray:
  """n(eps) of each head's attention mass, [R, N, H, eps]."""
  return field(totals['attention_mass'], eps)


def far(train: int, totals: dict) -> np.ndarray:
  """Share of each head's attention mass beyond the training length."""
  w = totals['attention_mass']
  return w[..., train:].sum(-1) / w.sum(-1)


def statistics(s, train: int, sums) -> dict:
  """Draws [R, ..] of everything that is reported; draw 0 is the measure."""
  eps = [float(e) for e in s.shares]
  draws = sums.draws(s.resamples, s.seed)
  take = functools.partial(sums.statistic, draws)
  out = {
    name: take(needs, functools.partial(fields, name, s.length, eps))
    for name, needs in NETWORK.items()
    if all(need in sums.sums for need in needs)
  }
  if 'attention_mass' in sums.sums:
    heads = functools.partial(by_head, s.length, eps)
    out['heads'] = take(('attention_mass',), heads)
    out['far'] = take(('attention_mass',), functools.partial(far, train))
  if 'truncation' in sums.sums:
    out['truncation'] = take(
      ('truncation', 'truncated'),
      lambda t: truncation.fields(s.length, t, eps, s.nats),
    )
    out['loss'] = take(
      ('truncation', 'truncated'),
      lambda t: t['truncation'] / t['truncated'][:, None],
    )
  return out
