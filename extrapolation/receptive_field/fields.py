"""The fields of a network, read off sums over windows, for every resample."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from extrapolation import theory
from extrapolation.receptive_field.bootstrap import Sums, Totals
from extrapolation.receptive_field.estimators import (
  composition,
  perturbation,
  truncation,
)
from extrapolation.receptive_field.estimators.settings import Settings

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

OF_A_LINE = 'composition', 'composition_share'  # a convolution along one axis


def weights(name: str, n: int, totals: Totals) -> Float[np.ndarray, 'R n']:
  """The network's weights by distance, of a name in NETWORK."""
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


def field(
  weights: Float[np.ndarray, '*R n'], eps: Sequence[float]
) -> Float[np.ndarray, '*R eps']:
  """n(eps) as of `theory.coverage`; NaN for weights that are all zero."""
  some = weights.sum(-1) > 0
  out = np.full((*weights.shape[:-1], len(eps)), np.nan)
  if some.any():
    out[some] = theory.coverage(weights[some], eps)[1]
  return out


def far_mass(
  weights: Float[np.ndarray, '*R n'], train: int
) -> Float[np.ndarray, '*R']:
  """Share of weights at distances of `train` tokens or more."""
  return weights[..., train:].sum(-1) / weights.sum(-1)


def draws(settings: Settings, train: int, sums: Sums) -> dict[str, np.ndarray]:
  """Draws [R, ..] of everything that is reported; draw 0 is measured.

  By name: n(eps) [R, eps] of each name in NETWORK; `heads`, of each head's
  attention mass, [R, N, H, eps], and `far`, the share of it beyond the training
  length, [R, N, H]; `truncation`, [R, 1 + eps, 3], and its `loss` by context.
  """
  n, eps = settings.length, [float(e) for e in settings.shares]
  take = functools.partial(
    sums.statistic, sums.draws(settings.resamples, settings.seed)
  )

  def network(name: str, totals: Totals) -> np.ndarray:
    return field(weights(name, n, totals), eps)

  out = {
    name: take(needs, functools.partial(network, name))
    for name, needs in NETWORK.items()
    if all(need in sums.sums for need in needs)
    and not (settings.size and name in OF_A_LINE)
  }
  if 'attention_mass' in sums.sums:
    out['heads'] = take(
      ('attention_mass',), lambda t: field(t['attention_mass'], eps)
    )
    out['far'] = take(
      ('attention_mass',), lambda t: far_mass(t['attention_mass'], train)
    )
  if 'truncation' in sums.sums:
    take = functools.partial(take, ('truncation', 'truncated'))
    out['truncation'] = take(
      lambda t: truncation.fields(n, t, eps, settings.nats)
    )
    out['loss'] = take(lambda t: t['truncation'] / t['truncated'][:, None])
  return out
