"""What is known of one run, as JSON and as rows of a CSV."""

import dataclasses
import math

import numpy as np

from extrapolation import run, table
from extrapolation.receptive_field import (
  estimators,
  expected,
  samples,
  windows,
)
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


def text(record: dict) -> str:
  """Tables for people: the network, its heads, windows and costs."""
  about, eps = record['about'], record['settings']['eps']
  lines = [
    f'\n{about["rpe"]}, seed {about["seed"]}: {about["windows"]:,} windows of '
    f'{about["length"]:,} tokens of {about["split"]} text, trained at '
    f'{about["train_length"]:,}\n',
    table.text(_network_rows(record), ('estimator', *_columns(record))),
    '',
    table.text(_head_rows(record, eps), _head_rows(record, eps)[0]),
  ]
  if record['windows']:
    shown = [{k: w[k] for k in windows.COLUMNS} for w in record['windows']]
    lines += [
      '\nkeys kept by every head: bound of the error of an attention over its '
      'largest value (2 says\nnothing), the error seen, and what the window '
      'changes of loss (nats) and logits\n', table.text(shown, windows.COLUMNS),
    ]  # fmt: skip
  columns = ('estimator', 'windows', 'gflop_a_window', 'seconds', 'compiling')
  costs = [dict(c, gflop_a_window=c['flops'] / 1e9) for c in record['costs']]
  lines += ['', table.text(costs, columns)]
  return '\n'.join(lines)


def _columns(record):
  return [*(f'n({e})' for e in record['settings']['eps']), 'within']


def _network_rows(record):
  out = []
  for name, found in record['network'].items():
    row = {'estimator': name, **dict.fromkeys(_columns(record), '')}
    for e, field in found.items():
      key = 'within' if 'nats' in e else f'n({e})'
      row[key] = _span(field) + (f' of {e}' if 'nats' in e else '')
    out.append(row)
  return out


def _span(field) -> str:
  if field['n'] is None:
    return '-'
  if field['low'] == field['n'] == field['high']:
    return f'{field["n"]:,}'
  return f'{field["n"]:,} [{field["low"]}..{field["high"]}]'


def _head_rows(record, eps):
  out = []
  for h in record['heads']:
    row = dict(layer=h['layer'], head=h['head'])
    for e in eps:
      row[f'TRF({e})'] = _bracket((h.get('trf') or {}).get(e))
      below = (h.get('trf_below') or {}).get(e)
      row[f'below({e})'] = '-' if below is None else f'{below:,}'
      row[f'mass({e})'] = _span(h['attention_mass'][e])
    row['far'] = h.get('far_mass', '-')
    row['far seen'] = h['far_mass_seen']['share']
    row['M'] = h['M']
    out.append(row)
  return out


def _bracket(found) -> str:
  if not found:
    return '-'
  low, high = found['low'], found['high']
  show = lambda v: f'{v:,}' if v < 10**7 else f'{v:.1e}'  # noqa: E731
  if low is None:
    return 'inf'
  if high is None:
    return f'>={show(low)}'
  return show(low) if low == high else f'{show(low)}..{show(high)}'
