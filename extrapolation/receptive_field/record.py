"""What is known of one run: a record for JSON, rows for CSV."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from extrapolation import runs
from extrapolation.receptive_field import bootstrap, fields, predicted
from extrapolation.receptive_field.estimators import truncation
from extrapolation.receptive_field.estimators.settings import Settings


class Study(NamedTuple):
  """A run measured.

  Attributes:
    record: all of it, as it is written to JSON.
    draws: [R, ..] of `fields.draws`, and of theory's fields, which do not vary.
    weights: by distance, [n] of sum 1, of each of the network's fields.
  """

  record: dict
  draws: dict[str, np.ndarray]
  weights: dict[str, np.ndarray]


def make(
  origin: dict,
  settings: Settings,
  bias: Float[np.ndarray, 'N H n'] | None,
  sums: bootstrap.Sums,
  M: Float[np.ndarray, 'N H'],
  theory: predicted.Heads | None,
  windows: Sequence[dict] = (),
  costs: Sequence[dict] = (),
  osc: Float[np.ndarray, 'N H'] | None = None,
) -> Study:
  """Everything measured, beside what theory says.

  Args:
    origin: which run it is; its `train_length` in tokens.
    bias, theory: log weights and records of the heads, or None for an encoding
      that is not a function of i - j alone.
    osc: the most that two logits of one query differ, for the interval of the
      far share.
    windows, costs: rows of `window_check.check` and of `measure.measure`.
  """
  train, n = origin['train_length'], settings.length
  draws = fields.draws(settings, train, sums)
  network, weights = {}, {}
  if theory and bias is not None:
    eps = [float(e) for e in settings.shares]
    for name, (w, lengths) in predicted.network(bias, eps).items():
      draws[name] = np.repeat(lengths[None], len(draws['gradient']), 0)
      weights[name] = w
      network[name] = {
        e: dict.fromkeys(('n', 'low', 'high'), int(length))
        for e, length in zip(settings.eps, lengths, strict=True)
      }
  for name, needs in fields.NETWORK.items():
    if name in draws:
      network[name] = _by_eps(settings.eps, draws[name])
      weights[name] = fields.weights(name, n, sums.total(needs))[0]
  truncated = draws.pop('truncation')  # [R, 1 + eps, 3]
  network['truncation'] = {
    e: dict(_field(truncated[:, i, 0]), bracket=_whole(truncated[0, i, 1:]))
    for i, e in enumerate((f'{settings.nats:g} nats', *settings.eps))
  }
  draws['truncation'] = truncated[:, 1:, 0]
  record = dict(
    about=dict(origin, windows=sums.windows, groups=sums.groups),
    settings=dataclasses.asdict(settings),
    network=network,
    heads=_heads(settings, train, bias, draws, M, theory, osc),
    truncation=_curve(n, draws.pop('loss')),
    share=sums.mean('share').tolist(),
    windows=list(windows),
    costs=list(costs),
    provenance=runs.provenance(),
  )
  shares = {k: w / w.sum() for k, w in weights.items() if w.sum() > 0}
  return Study(record, draws, shares)


def _heads(
  settings: Settings,
  train: int,
  bias: np.ndarray | None,
  draws: dict[str, np.ndarray],
  M: np.ndarray,
  theory: predicted.Heads | None,
  osc: np.ndarray | None,
) -> list[dict]:
  """A row per head, top layer last."""
  out = []
  low, high = bootstrap.interval(draws['far'])
  share = between = None
  if bias is not None:
    share = fields.far_mass(predicted.kernels(bias), train)
    if theory and osc is not None:
      between = predicted.far_between(bias, train, settings.Q, osc)
  for i, h in np.ndindex(*M.shape):
    row: dict[str, Any] = dict(layer=i + 1, head=h + 1, M=float(M[i, h]))
    if theory and share is not None:
      row['verdict'] = theory[i][h]['verdict']
      row['trf'] = theory[i][h]['trf']  # {eps: {low, high}}; None: infinite
      row['trf_below'] = theory[i][h]['horizon']['trf']
      row['far_mass'] = float(share[i, h])
    if between is not None:
      row['far_mass_between'] = between[i, h].tolist()
    row['attention_mass'] = _by_eps(settings.eps, draws['heads'][:, i, h])
    row['far_mass_seen'] = dict(
      share=float(draws['far'][0, i, h]),
      low=float(low[i, h]),
      high=float(high[i, h]),
    )
    out.append(row)
  return out


def _by_eps(eps: Sequence[str], draws: np.ndarray) -> dict[str, dict]:
  return {e: _field(draws[:, i]) for i, e in enumerate(eps)}


def _field(draws: np.ndarray) -> dict:
  """Draw 0 and the interval of the others; None where no weight is left."""
  low, high = bootstrap.interval(draws)
  return dict(
    zip(('n', 'low', 'high'), _whole((draws[0], low, high)), strict=True)
  )


def _whole(values: Iterable) -> list[int | None]:
  return [None if math.isnan(v) else int(v) for v in map(float, values)]


def _curve(n: int, loss: Float[np.ndarray, 'R c']) -> list[dict]:
  """The loss by context, over that of the full one with its interval."""
  low, high = bootstrap.interval(loss - loss[:, -1:])
  return [
    dict(
      context=context,
      nats=float(loss[0, i]),
      excess=float(loss[0, i] - loss[0, -1]),
      low=float(low[i]),
      high=float(high[i]),
    )
    for i, context in enumerate(truncation.contexts(n))
  ]


def rows(record: dict) -> list[dict]:
  """Rows of a CSV, one per field; `low` and `high` bound a 95 % interval.

  An infinite field is `inf`, one that is unknown is empty.
  """
  costs = {c['estimator']: c for c in record['costs']}
  out = []

  def add(
    estimator: str, eps: str, field: dict, layer: int | str = '',
    head: int | str = '',
  ) -> None:  # fmt: skip
    cost = costs.get(estimator.split('_')[0], costs.get(estimator, {}))
    out.append(
      {
        **record['about'],
        'estimator': estimator,
        'layer': layer,
        'head': head,
        'eps': eps,
        **{k: field.get(k) for k in ('n', 'low', 'high')},
        'flops_a_window': cost.get('flops', 0),
        'seconds': cost.get('seconds', 0),
        **record['provenance'],
      }
    )

  for name, by_eps in record['network'].items():
    for eps, field in by_eps.items():
      add(name, eps, field)
  for h in record['heads']:
    at = h['layer'], h['head']
    for eps, field in h['attention_mass'].items():
      add('attention_mass', eps, field, *at)
    for eps, bracket in (h.get('trf') or {}).items():
      add('trf', eps, _bracket(**bracket), *at)
    for eps, n in (h.get('trf_below') or {}).items():
      add('trf_below', eps, _exactly(n), *at)
    far = h['far_mass_seen']
    add('far_mass_seen', '', dict(far, n=far['share']), *at)
    if 'far_mass_between' in h:
      ends = dict(zip(('low', 'high'), h['far_mass_between'], strict=True))
      add('far_mass_between', '', ends, *at)
    if 'far_mass' in h:
      add('far_mass', '', _exactly(h['far_mass']), *at)
    add('logit_bound', '', dict(n=h['M']), *at)
  return out


def _exactly(n: int | float | None) -> dict:
  return dict.fromkeys(('n', 'low', 'high'), n)


def _bracket(low: int | None, high: int | None) -> dict:
  """Theory's bracket as a field; without ends it is infinite."""
  if low is None:
    return _exactly(math.inf)
  return dict(n=high if low == high else None, low=low, high=high)
