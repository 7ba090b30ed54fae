"""Records of a space as tables for people, and as CSV."""

import itertools

from extrapolation.output import table as text_table
from extrapolation.output.table import number
from extrapolation.theory import table

OPEN = 'not judged', 'unknown'
YES, NO = 'yes', 'no'  # whether the verdict changes


def show(records: list[dict]) -> None:
  """Prints every record: a row per head, then why."""
  print('\n\n'.join(map(_text, records)))


def compare(records: list[dict]) -> None:
  """Prints where the verdict is another than on a line, and where it is not."""
  rows = [row for record in records for row in _compared(record)]
  order = YES, NO, *OPEN
  rows.sort(key=lambda row: order.index(row['changes']))
  print(f'verdicts on a line and {_where(records[0])}\n')
  print(text_table.text(rows, list(rows[0])) + '\n')
  for word, said in ((YES, 'change'), (NO, 'do not')):
    kinds = [str(row['encoding']) for row in rows if row['changes'] == word]
    print(f'{said}: {", ".join(dict.fromkeys(kinds)) or "none"}')


def write(records: list[dict]) -> None:
  """Writes CSV with one row per head to stdout."""
  table.as_csv(
    [
      {k: record[k] for k in ('subject', 'geometry', 'keys')}
      | dict(head=i)
      | _flat(head, record['shapes'])
      for record in records
      for i, head in enumerate(record['heads'], 1)
    ]
  )


def _where(record: dict) -> str:
  return f'in {record["geometry"]}, with {record["keys"]}'


def _flat(head: dict, shapes: dict | None) -> dict:
  kept = ('verdict', 'condition', 'margin', 'argument')
  row = {key: head[key] for key in kept}
  row |= dict(line=head['line']['verdict'], line_if=head['line']['condition'])
  tight, why = head['tightness'], head['tightness']['argument']
  row |= dict(tight=tight['verdict'], tight_if=tight['condition'])
  row |= dict(tight_argument=None if why == head['argument'] else why)
  for eps, limits in head['trf'].items():
    row |= table.ends(limits, f'low_{eps}', f'high_{eps}')
  row |= dict(total=head['total'])
  if shapes is not None:
    far = head['shapes'] or {}
    low, high = far.get('share') or (None, None)
    row |= shapes | {k: far.get(k) for k in ('far_mass', 'growth', 'unread')}
    row |= dict(share_low=low, share_high=high)
  return row


def _compared(record: dict) -> list[dict[str, str | None]]:
  """A row for heads in a row with the same verdicts."""
  rows, first = [], 1
  for key, group in itertools.groupby(
    record['heads'], lambda x: (table.verdict(x['line']), table.verdict(x))
  ):
    heads = [*group]
    last = first + len(heads) - 1
    line, here = key
    is_open = next((word for word in OPEN if word in key), None)
    row = {
      'encoding': record['subject'],
      'heads': f'{first}-{last}' if last > first else str(first),
      'on a line': line,
      f'in {record["geometry"]}': here,
      'changes': is_open or (NO if line == here else YES),
    }
    if record['shapes']:
      columns = _columns(record['shapes'])
      row |= {
        name: _range([x['shapes'][key] for x in heads if x['shapes']])
        for name, key in columns.items()
      }
    rows.append(row)
    first = last + 1
  return rows


def _columns(shapes: dict) -> dict[str, str]:
  """Titles of columns, with the fields of a head that they show."""
  train, test, layers = (shapes[key] for key in ('train', 'test', 'layers'))
  out = (
    {}
    if train == test and layers
    else {f'beyond {train} of {test}': 'far_mass'}
  )
  if layers:
    out[f'unread by {layers} layer{"s" * (layers > 1)}'] = 'unread'
  return out


def _range(values: list[float | None]) -> str | None:
  known = [x for x in values if x is not None]
  ends = dict.fromkeys(number(f(known)) for f in (min, max)) if known else ()
  return '..'.join(ends) or None


def _text(record: dict) -> str:
  heads, shapes = record['heads'], record['shapes']
  title = f'{record["subject"]} {_where(record)}'
  if record['parameters']:
    title += f'   parameters: {", ".join(record["parameters"])}'
  if any(head['tightness']['part'] for head in heads):
    return '\n'.join([title, '', *table.tightness(record)])
  names = dict.fromkeys(eps for head in heads for eps in head['trf'])
  rows = [_row(head, ' / '.join(names), shapes) for head in heads]
  parts = [title, '', table.of_heads(table.trained(rows, record)), '']
  return '\n'.join([*parts, *table.reasons(heads)])


def _row(head: dict, eps: str, shapes: dict | None) -> dict[str, str | None]:
  row = {
    'verdict': table.verdict(head),
    'on a line': table.verdict(head['line']),
    f'TRF {eps}': table.joined(map(table.bracket, head['trf'].values())),
    'sum': table.shown(head['total']),
  }
  if shapes is not None:
    far = head['shapes'] or {}
    share = far.get('share')
    for name, key in _columns(shapes).items():
      row[name] = table.shown(far.get(key))
    row |= {
      'growth of ln Z': table.shown(far.get('growth') or None),
      'share, given M': share and '..'.join(number(x, 3) for x in share),
    }
  return row
