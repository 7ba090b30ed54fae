"""What is known of one run: a record for JSON, rows for CSV."""

import dataclasses
import math

import numpy as np

from extrapolation import run
from extrapolation.receptive_field import estimators, expected, samples
from extrapolation.receptive_field import truncation as truncation_lib


def make(about: dict, m, params, s, train, sums, M, heads, checked, costs):
  """(record, draws): everything measured, beside what theory says.

  `heads` are theory's records by layer, or None for an encoding that is not a
  function of distance alone.
  """
  draws = estimators.statistics(s, train, sums)
  n, eps = s.length, [float(e) for e in s.shares]
  tables = np.asarray(m.bias(params, n), np.float64)
  network, weights = {}, {}
  if heads:
    for name, (w, found) in expected.network(tables, eps).items():
      draws[name] = np.repeat(found[None], len(draws['gradient']), 0)
      weights[name] = w
      network[name] = {
        e: dict(n=int(f), low=int(f), high=int(f))
        for e, f in zip(s.eps, found, strict=True)
      }
  for name, needs in estimators.NETWORK.items():
    if name in draws:
      network[name] = _by_eps(s.eps, draws[name])
      total = {k: sums.sums[k].sum(0)[None] for k in needs}
      weights[name] = estimators.weights(name, n, total)[0]
  truncated = draws.pop('truncation')  # [R, 1 + eps, 3]
  network['truncation'] = {
    e: dict(_one(truncated[:, i, 0]), bracket=_whole(truncated[0, i, 1:]))
    for i, e in enumerate((f'{s.nats:g} nats', *s.eps))
  }
  draws['truncation'] = truncated[:, 1:, 0]
  record = dict(
    about=dict(about, windows=sums.windows, groups=sums.groups),
    settings=dataclasses.asdict(s),
    network=network,
    heads=_heads(s, train, tables, draws, M, heads),
    truncation=_curve(n, draws.pop('loss')),
    share=sums.mean('share').tolist(),
    windows=checked,
    costs=costs,
    provenance=run.provenance(),
  )
  kept = {k: w / w.sum() for k, w in weights.items() if w.sum() > 0}
  return record, draws, kept


def _heads(s, train, tables, draws, M, heads):
  """A row a head, top layer last."""
  out = []
  share = expected.far_mass(expected.kernels(tables), train)
  low, high = samples.interval(draws['far'])
  for i, h in np.ndindex(*M.shape):
    row = dict(layer=i + 1, head=h + 1, M=float(M[i, h]))
    if heads:
      row['verdict'] = heads[i][h]['verdict']
      row['trf'] = heads[i][h]['trf']  # {eps: {low, high}}; None: infinite
      row['trf_below'] = heads[i][h]['horizon']['trf']
      row['far_mass'] = float(share[i, h])
    row['attention_mass'] = _by_eps(s.eps, draws['heads'][:, i, h])
    row['far_mass_seen'] = dict(
      share=float(draws['far'][0, i, h]),
      low=float(low[i, h]), high=float(high[i, h]),
    )  # fmt: skip
    out.append(row)
  return out


def _by_eps(names, draws) -> dict:
  return {e: _one(draws[:, i]) for i, e in enumerate(names)}


def _one(draws) -> dict:
  low, high = samples.interval(draws)
  n, low, high = _whole((draws[0], low, high))
  return dict(n=n, low=low, high=high)


def _whole(values) -> list:
  return [None if math.isnan(v) else int(v) for v in map(float, values)]


def _curve(n, loss):
  low, high = samples.interval(loss - loss[:, -1:])
  return [
    dict(context=c, nats=float(loss[0, i]),
         excess=float(loss[0, i] - loss[0, -1]),
         low=float(low[i]), high=float(high[i]))
    for i, c in enumerate(truncation_lib.contexts(n))
  ]  # fmt: skip


def rows(record: dict) -> list[dict]:
  """Rows of a CSV: one a field; `low` and `high` bound a 95 % interval.

  An infinite field is `inf`, one that cannot be told is empty.
  """
  about = dict(record['about'])
  cost = {c['estimator']: c for c in record['costs']}
  out = []

  def add(estimator, eps, layer, head, found):
    c = cost.get(estimator.split('_')[0], cost.get(estimator, {}))
    out.append({
      **about, 'estimator': estimator, 'layer': layer, 'head': head,
      'eps': eps, **{k: found.get(k) for k in ('n', 'low', 'high')},
      'flops_a_window': c.get('flops', 0), 'seconds': c.get('seconds', 0),
      **record['provenance'],
    })  # fmt: skip

  for name, found in record['network'].items():
    for eps, field in found.items():
      add(name, eps, '', '', field)
  for h in record['heads']:
    at = h['layer'], h['head']
    for eps, field in h['attention_mass'].items():
      add('attention_mass', eps, *at, field)
    for eps, field in (h.get('trf') or {}).items():
      add('trf', eps, *at, _infinite(field))
    for eps, n in (h.get('trf_below') or {}).items():
      add('trf_below', eps, *at, dict(n=n, low=n, high=n))
    far = h['far_mass_seen']
    add('far_mass_seen', '', *at, dict(far, n=far['share']))
    if 'far_mass' in h:
      add(
        'far_mass', '', *at, dict.fromkeys(('n', 'low', 'high'), h['far_mass'])
      )
    add('logit_bound', '', *at, dict(n=h['M']))
  return out


def _infinite(found) -> dict:
  """Theory's bracket as a field; without ends it is infinite."""
  low, high = found['low'], found['high']
  if low is None:
    return dict.fromkeys(('n', 'low', 'high'), math.inf)
  return dict(n=high if low == high else None, low=low, high=high)
