"""The record of a run as tables for people."""

from extrapolation.output import table
from extrapolation.output.table import number
from extrapolation.receptive_field import window_check
from extrapolation.receptive_field.record import measured_on
from extrapolation.theory.table import bracket

WINDOWS = """
keys kept by every head: bound of the error of an attention over its largest
value (2 says nothing), the error seen, and what the window changes of loss
(nats, with the most that it can, from the bounds of all layers) and logits
"""


def tables(record: dict) -> str:
  """The network, its heads, windows and costs."""

  def empty(row: dict) -> str:
    return '-' if row['bound'] is None else 'vacuous'

  run, eps = record['about'], record['settings']['eps']
  heads = _head_rows(record, eps)
  parts = [
    f'\n{run["rpe"]}, seed {run["seed"]}: {measured_on(run)}\n',
    table.text(_network_rows(record, eps), _network_columns(eps)),
    '',
    table.text(heads, heads[0]),
  ]
  if record['windows']:
    rows = [
      {k: empty(row) if v is None else v for k, v in row.items()}
      for row in record['windows']
    ]
    parts += [WINDOWS, table.text(rows, window_check.COLUMNS)]
  columns = ('estimator', 'windows', 'gflop_a_window', 'seconds', 'compiling')
  costs = [dict(c, gflop_a_window=c['flops'] / 1e9) for c in record['costs']]
  return '\n'.join([*parts, '', table.text(costs, columns)])


def _network_columns(eps: list[str]) -> list[str]:
  return ['estimator', *(f'n({e})' for e in eps), 'within']


def _network_rows(record: dict, eps: list[str]) -> list[dict]:
  rows = []
  for name, fields in record['network'].items():
    row = {**dict.fromkeys(_network_columns(eps), ''), 'estimator': name}
    for e, field in fields.items():
      if e in eps:
        row[f'n({e})'] = _span(field)
      else:
        row['within'] = f'{_span(field)} of {e}'
    rows.append(row)
  return rows


def _span(field: dict) -> str:
  n, low, high = field['n'], field['low'], field['high']
  if n is None or low == n == high:
    return number(n)
  return f'{number(n)} [{low}..{high}]'


def _head_rows(record: dict, eps: list[str]) -> list[dict]:
  rows = []
  for h in record['heads']:
    row = dict(layer=h['layer'], head=h['head'])
    for e in eps:
      row[f'TRF({e})'] = _bracket(h, e)
      row[f'below({e})'] = (h.get('trf_below') or {}).get(e)
      row[f'mass({e})'] = _span(h['attention_mass'][e])
    row['far'] = h.get('far_mass')
    row['far seen'] = h['far_mass_seen']['share']
    row['within'] = _ends(h.get('far_mass_between'))
    row['M'] = h['M']
    rows.append(row)
  return rows


def _ends(ends: list[float] | None) -> str:
  return '-' if ends is None else '..'.join(number(x, 3) for x in ends)


def _bracket(head: dict, e: str) -> str:
  ends = (head.get('trf') or {}).get(e)
  return bracket(ends, 'inf') if ends else '-'
