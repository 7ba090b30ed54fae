"""The record of a run as tables for people."""

from extrapolation import table
from extrapolation.receptive_field import windows


def tables(record: dict) -> str:
  """The network, its heads, windows and costs."""
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
