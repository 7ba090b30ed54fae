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
  sums: bootstrap.Sums,
  M: Float[np.ndarray, 'N H'],
  theory: predicted.Predicted | None = None,
  windows: Sequence[dict] = (),
  costs: Sequence[dict] = (),
) -> Study:
  """Everything measured, beside what theory says.

  Args:
    origin: which run it is; its `train_length` in tokens, or in distances.
    theory: of its heads, or None for an encoding that is not a function of
      distance alone.
    windows, costs: rows of `window_check.check` and of `measure.measure`.
  """
  train, n = origin['train_length'], settings.length
  draws = fields.draws(settings, train, sums)
  network, weights = {}, {}
  if theory:
    for name, (w, lengths) in theory.network.items():
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
    heads=_heads(settings, draws, M, theory),
    truncation=_curve(n, draws.pop('loss')),
    share=sums.mean('share').tolist() if 'share' in sums.sums else [],
    windows=list(windows),
    costs=list(costs),
    provenance=runs.provenance(),
  )
  shares = {k: w / w.sum() for k, w in weights.items() if w.sum() > 0}
  return Study(record, draws, shares)


def _heads(
  settings: Settings,
  draws: dict[str, np.ndarray],
  M: np.ndarray,
  theory: predicted.Predicted | None,
) -> list[dict]:
  """A row per head, top layer last."""
  out = []
  low, high = bootstrap.interval(draws['far'])
  for i, h in np.ndindex(*M.shape):
    row: dict[str, Any] = dict(layer=i + 1, head=h + 1, M=float(M[i, h]))
    if theory:
      head = theory.heads[i][h]
      row['verdict'] = head['verdict']
      row['trf'] = head['trf']  # {eps: {low, high}}; None: infinite
      row['trf_below'] = theory.below[i][h]
      row['far_mass'] = float(theory.far[i, h])
      if theory.between is not None:
        row['far_mass_between'] = theory.between[i, h].tolist()
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


def measured_on(about: dict) -> str:
  """What was read, and what the model was trained at."""
  if 'size' not in about:
    return (
      f'{about["windows"]:,} windows of {about["length"]:,} tokens of '
      f'{about["split"]} text, trained at {about["train_length"]:,}'
    )
  return (
    f'{about["targets"]:,} targets of {about["windows"]:,} examples of '
    f'{about["size"]}, {about["split"]} split, trained at {about["train_size"]}'
  )


def unit(about: dict) -> str:
  """What is counted along the axis of all fields."""
  return 'distances' if 'size' in about else 'tokens'


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
