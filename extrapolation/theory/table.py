"""Records as a readable table, and as CSV."""

import csv
import sys

import rich.box
import rich.console
import rich.table

from extrapolation.theory import far_table


def show(records: list[dict], train: int, width: int | None = None) -> None:
  """Prints one table per record; plain text where stdout is no terminal."""
  console = rich.console.Console(
    width=width or (None if rich.console.Console().is_terminal else 120),
    highlight=False,
    soft_wrap=False,
  )
  for record in records:
    _one(console, record, train)


def write(records: list[dict]) -> None:
  """Writes CSV with one row per head to stdout."""
  rows = [
    _flat(record['subject'], i + 1, head)
    for record in records
    for i, head in enumerate(record['heads'])
  ]
  columns = list(dict.fromkeys(key for row in rows for key in row))
  out = csv.DictWriter(sys.stdout, columns, lineterminator='\n')
  out.writeheader()
  out.writerows(rows)


def _flat(subject: str, number: int, head: dict) -> dict:
  seen = head['horizon']
  row = dict(subject=subject, head=number)
  row |= {k: head[k] for k in ('verdict', 'condition', 'margin', 'argument')}
  for eps, bracket in head['trf'].items():
    ends = ('inf' if x is None else x for x in bracket.values())
    row[f'low_{eps}'], row[f'high_{eps}'] = ends
  row |= dict(horizon=seen['n'], far_mass=seen['far_mass'])
  row |= dict(exponent=seen['exponent'])
  row |= {f'below_{eps}': j for eps, j in (seen['trf'] or {}).items()}
  row |= far_table.columns(head['far'])
  if 'window' in head:
    any_length, below = head['window']['any_length'], head['window']['below']
    row |= dict(window=any_length, window_below=below)
  return row


def _one(console: rich.console.Console, record: dict, train: int) -> None:
  heads = record['heads']
  n = heads[0]['horizon']['n']
  names = list(dict.fromkeys(e for h in heads for e in h['trf']))
  title = record['subject']
  if record.get('parameters'):
    title += f'   parameters: {", ".join(record["parameters"])}'
  console.print(title, markup=False, soft_wrap=True)
  table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
  before = record.get('before')
  shares = ' / '.join(names)
  table.add_column('head', justify='right', no_wrap=True)
  table.add_column('verdict', no_wrap=True)
  if before:
    table.add_column('before', no_wrap=True)
    table.add_column('margin', no_wrap=True)
  if names:
    table.add_column(f'TRF {shares}', no_wrap=True)
  seen = heads[0]['horizon']
  if seen['exponent'] is not None:
    table.add_column('exponent', justify='right', no_wrap=True)
  if seen['trf'] is not None:
    table.add_column(f'beyond {train}', justify='right', no_wrap=True)
    table.add_column(f'TRF below {n}', no_wrap=True)
  if 'window' in heads[0]:
    table.add_column('window', justify='right', no_wrap=True)
    table.add_column(f'window below {n}', justify='right', no_wrap=True)
  for i, label in _rows(heads, before):
    h = heads[i]
    cells = [label, _verdict(h)]
    if before:
      cells += [_verdict(before[i]), _margins(before[i], h)]
    if names:
      cells.append(_joined([_bracket(h['trf'].get(x)) for x in names]))
    horizon = h['horizon']
    if seen['exponent'] is not None:
      cells.append(_number(horizon['exponent'], '.3g'))
    if seen['trf'] is not None:
      cells.append(_number(horizon['far_mass'], '.3f'))
      below = (horizon['trf'] or {}).values()
      cells.append(' / '.join('-' if x is None else str(x) for x in below))
    if 'window' in h:
      for w in (h['window']['any_length'], h['window']['below']):
        cells.append('-' if w is None else integer(w))
    table.add_row(*cells)
  console.print(table)
  far = far_table.far_table([(s, heads[i]) for i, s in _rows(heads, before)], n)
  if far is not None:
    console.print(far)
  arguments = dict.fromkeys(h['argument'] for h in heads)
  shown = list(arguments)[:1] if len(arguments) > 2 else list(arguments)
  for text in shown:
    who = [i + 1 for i, h in enumerate(heads) if h['argument'] == text]
    label = '' if len(arguments) == 1 else f'head {who[0]}: '
    console.print(f'  {label}{text}', markup=False)
  for note in dict.fromkeys(h['note'] for h in heads if h['note']):
    console.print(f'  note: {note}', markup=False)


def _rows(
  heads: list[dict], before: list[dict] | None
) -> list[tuple[int, str]]:
  """Index and label of every row: one row when all heads are the same."""
  kept = [{k: v for k, v in h.items() if k != 'seconds'} for h in heads]
  if len(heads) > 1 and not before and all(h == kept[0] for h in kept):
    return [(0, f'1-{len(heads)}')]
  return [(i, str(i + 1)) for i in range(len(heads))]


def _verdict(h: dict) -> str:
  if h['verdict'] == 'conditional':
    return f'iff {h["condition"]}'
  return h['verdict']


def _joined(cells: list[str]) -> str:
  """a / b / c, or one of them when they are all infinite."""
  return cells[0] if set(cells) == {'infinite'} else ' / '.join(cells)


def _margins(before: dict, after: dict) -> str:
  if before['margin'] == after['margin']:
    return _number(after['margin'], '+.3f')
  return (
    f'{_number(before["margin"], "+.3f")} -> {_number(after["margin"], "+.3f")}'
  )


def _number(x: float | None, form: str) -> str:
  return '-' if x is None else format(x, form)


def integer(x: int) -> str:
  """Up to 15 digits in full, then three significant ones."""
  text = str(x)
  if len(text) <= 15:
    return text
  return f'{text[0]}.{text[1:3]}e{len(text) - 1}'


def _bracket(b: dict | None) -> str:
  if b is None:
    return '-'
  low, high = b['low'], b['high']
  if low is None:
    return 'infinite'
  if high is None:
    return f'>= {integer(low)}'
  if low == high or integer(low) == integer(high):
    return integer(low)
  return f'{integer(low)}..{integer(high)}'
