"""Records as a readable table."""

import rich.box
import rich.console
import rich.table


def show(records: list[dict], train: int, width: int | None = None) -> None:
  """Prints one table a record; plain text where stdout is no terminal."""
  console = rich.console.Console(
    width=width or (None if rich.console.Console().is_terminal else 110),
    highlight=False,
    soft_wrap=False,
  )
  for record in records:
    _one(console, record, train)


def _one(console, record, train):
  heads = record['heads']
  n = heads[0]['horizon']['n']
  names = list(dict.fromkeys(e for h in heads for e in h['trf']))
  table = rich.table.Table(
    box=rich.box.SIMPLE_HEAD, title=record['subject'], title_justify='left'
  )
  before = record.get('before')
  table.add_column('head', justify='right')
  table.add_column('verdict')
  if before:
    table.add_column('before')
    table.add_column('margin', justify='right')
  for name in names:
    table.add_column(f'TRF({name})', justify='right')
  table.add_column(f'mass {train}..{n}', justify='right')
  table.add_column('exponent', justify='right')
  far = list((heads[0]['horizon']['trf'] or {}).keys())
  for name in far:
    table.add_column(f'to {n} ({name})', justify='right')
  for i, rows in _runs(heads, before):
    h = heads[rows[0]]
    label = str(rows[0] + 1) if len(rows) == 1 else f'1-{len(heads)}'
    cells = [label, _verdict(h)]
    if before:
      cells += [_verdict(before[i]), _margins(before[i], h)]
    cells += [_bracket(h['trf'].get(name)) for name in names]
    horizon = h['horizon']
    cells.append(_number(horizon['far_mass'], '.3f'))
    cells.append(_number(horizon['exponent'], '.3g'))
    fields = horizon['trf'] or {}
    cells += [str(fields.get(name, '-')) for name in far]
    table.add_row(*cells)
  console.print(table)
  arguments = dict.fromkeys(h['argument'] for h in heads)
  shown = list(arguments)[:1] if len(arguments) > 2 else list(arguments)
  for text in shown:
    who = [i + 1 for i, h in enumerate(heads) if h['argument'] == text]
    label = '' if len(arguments) == 1 else f'head {who[0]}: '
    console.print(f'  {label}{text}', markup=False)
  for note in dict.fromkeys(h['note'] for h in heads if h['note']):
    console.print(f'  note: {note}', markup=False)


def _runs(heads, before):
  """All heads as one row when they are the same."""
  same = lambda h: {k: v for k, v in h.items() if k != 'seconds'}
  if len(heads) > 1 and not before:
    if all(same(h) == same(heads[0]) for h in heads):
      return [(0, list(range(len(heads))))]
  return [(i, [i]) for i in range(len(heads))]


def _verdict(h):
  if h['verdict'] == 'conditional':
    return f'iff {h["condition"]}'
  return h['verdict']


def _margins(before, after):
  return f'{_number(before["margin"], "+.3f")} -> {_number(after["margin"], "+.3f")}'


def _number(x, form):
  return '-' if x is None else format(x, form)


def integer(x: int) -> str:
  """Up to 15 digits in full, then three significant ones."""
  text = str(x)
  if len(text) <= 15:
    return text
  return f'{text[0]}.{text[1:3]}e{len(text) - 1}'


def _bracket(b):
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
