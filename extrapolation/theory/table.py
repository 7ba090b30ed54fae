"""Records as tables for people, and as CSV."""

import csv
import itertools
import sys
from collections.abc import Iterable

from extrapolation.output import table
from extrapolation.output.table import number


def show(records: list[dict], train: int) -> None:
  """Prints every record: a row per head, then what is known of its far mass."""
  print('\n\n'.join(_text(record, train) for record in records))


def write(records: list[dict]) -> None:
  """Writes CSV with one row per head to stdout."""
  rows = [
    dict(subject=record['subject'], head=i) | _flat(head)
    for record in records
    for i, head in enumerate(record['heads'], 1)
  ]
  as_csv(rows)


def as_csv(rows: list[dict]) -> None:
  """Writes rows, which need not have the same columns, to stdout."""
  columns = list(dict.fromkeys(key for row in rows for key in row))
  out = csv.DictWriter(sys.stdout, columns, lineterminator='\n')
  out.writeheader()
  out.writerows(rows)


def bracket(ends: dict, infinite: str = 'infinite') -> str:
  """low..high for people; `infinite` where both are None."""
  low, high = ends['low'], ends['high']
  if high is None:
    return infinite if low is None else f'>= {number(low)}'
  return '..'.join(dict.fromkeys(map(number, (low, high))))


def _flat(head: dict) -> dict:
  """Columns of CSV: those of the record by their own names; `inf` is never."""
  kept = ('verdict', 'condition', 'margin', 'argument')
  row = {key: head[key] for key in kept}
  tight = head['tightness']
  row |= dict(tight=tight['verdict'], tight_if=tight['condition'])
  why = tight['argument']
  row |= dict(tight_argument=None if why == head['argument'] else why)
  row |= {f'tight_{eps}': w for eps, w in tight['window'].items()}
  for eps, limits in head['trf'].items():
    row |= ends(limits, f'low_{eps}', f'high_{eps}')
  seen, far = head['horizon'], head['far']
  row |= dict(horizon=seen['n'], far_mass=seen['far_mass'])
  row |= dict(exponent=seen['exponent'])
  row |= {f'below_{eps}': j for eps, j in (seen['trf'] or {}).items()}
  if far is not None:
    low, high = far['share'] or (None, None)
    row |= dict(far_mean=far['mean'], share_low=low, share_high=high)
    row |= ends(far['n_half'], 'n_half_low', 'n_half_high')
    row |= {f'reach_{key}': x for key, x in far['reach'].items()}
  if 'window' in head:
    row |= dict(window=head['window']['any_length'])
    row |= dict(window_below=head['window']['below'])
  return row


def ends(limits: dict, *names: str) -> dict:
  """Both ends of a bracket as columns."""
  values = limits.values()
  values = ['inf', 'inf'] if {*values} == {None} else values
  return dict(zip(names, values, strict=True))


def tightness(record: dict) -> list[str]:
  """A row for heads in a row that are alike, and the composed answer."""
  rows, why, first = [], {}, 1
  for key, group in itertools.groupby(record['heads'], _key):
    last = first + len([*group]) - 1
    layer, part, verdict, condition, argument, windows = key
    rows.append({
      'layer': str(layer),
      'heads': f'{first}-{last}' if last > first else str(first),
      'part': part,
      'tightness': f'if {condition}' if condition else verdict,
      f'window {" / ".join(e for e, _ in windows)}': joined(
        number(w) for _, w in windows
      ),
    })  # fmt: skip
    why.setdefault((layer, part, verdict), f'layer {layer}, {part}: {argument}')
    first = last + 1
  columns = [k for k in dict.fromkeys(k for row in rows for k in row)
             if any(row.get(k) for row in rows)]  # fmt: skip
  out = [table.text([{k: r.get(k) for k in columns} for r in rows], columns)]
  out += ['', *dict.fromkeys(why.values())]
  whole = record['composed']
  said = f'{whole["verdict"]}, {whole["argument"]}'
  if whole['condition']:
    said = f'{whole["verdict"]} ({whole["condition"]}), {whole["argument"]}'
  return [*out, f'all together: {said}']


def _key(head: dict) -> tuple:
  tight = head['tightness']
  keys = 'layer', 'part', 'verdict', 'condition', 'argument'
  return (*(tight[k] for k in keys), tuple(tight['window'].items()))


def _text(record: dict, train: int) -> str:
  heads, title = record['heads'], record['subject']
  if record['parameters']:
    title += f'   parameters: {", ".join(record["parameters"])}'
  if any(head['tightness']['part'] for head in heads):
    return '\n'.join([title, '', *tightness(record)])
  names = dict.fromkeys(eps for head in heads for eps in head['trf'])
  rows = [_row(head, train, ' / '.join(names)) for head in heads]
  parts = [title, '', of_heads(trained(rows, record))]
  if all(head['far'] for head in heads):
    n = heads[0]['horizon']['n']
    parts += ['', f'keys beyond {train} of {n}; reach in nats']
    parts += ['', of_heads([_far_row(head) for head in heads])]
  return '\n'.join([*parts, '', *reasons(heads)])


def trained(
  rows: list[dict[str, str | None]], record: dict
) -> list[dict[str, str | None]]:
  """Rows with what was before training, of a run."""
  before = record.get('before', ())
  for row, old, head in zip(rows, before, record['heads'], strict=False):
    margins = dict.fromkeys(_margin(x) for x in (old, head))
    row |= dict(before=verdict(old), margin=' -> '.join(margins))
  return rows


def reasons(heads: list[dict]) -> list[str]:
  """Why, of up to two kinds of heads, and what is missing."""
  out, arguments = [], dict.fromkeys(head['argument'] for head in heads)
  for text in list(arguments)[: 1 if len(arguments) > 2 else 2]:
    first = next(i for i, h in enumerate(heads, 1) if h['argument'] == text)
    out.append(f'head {first}: {text}' if len(arguments) > 1 else text)
  notes = dict.fromkeys(head['note'] for head in heads if head['note'])
  return [*out, *(f'note: {note}' for note in notes)]


def of_heads(rows: list[dict[str, str | None]]) -> str:
  """One row where all are alike; without columns that no head has."""
  alike = len(rows) > 1 and all(row == rows[0] for row in rows)
  labels = [f'1-{len(rows)}'] if alike else map(str, range(1, len(rows) + 1))
  out = [dict(head=i) | row for i, row in zip(labels, rows, strict=False)]
  columns = [k for k in out[0] if any(row[k] for row in out)]
  return table.text(out, columns)


def _row(head: dict, train: int, eps: str) -> dict[str, str | None]:
  seen, window = head['horizon'], head.get('window', {})
  n, below, fields = seen['n'], seen['trf'], head['trf'].values()
  return {
    'verdict': verdict(head),
    f'TRF {eps}': joined(map(bracket, fields)),
    'exponent': shown(seen['exponent']),
    f'beyond {train}': shown(seen['far_mass']),
    f'TRF below {n}': below and joined(number(j) for j in below.values()),
    'window': shown(window.get('any_length')),
    f'window below {n}': shown(window.get('below')),
  }


def _far_row(head: dict) -> dict[str, str | None]:
  far, n = head['far'], head['horizon']['n']
  train, share = far['train'], far['share']
  at = (f'reach {t}' for t in (train - 1, train, n - 1))
  return {
    f'mean beyond {train}': shown(far['mean']),
    'share, given M': share and '..'.join(number(x, 3) for x in share),
    f'n_half({train})': bracket(far['n_half'], 'never'),
    **dict(zip(at, map(shown, far['reach'].values()), strict=True)),
  }


def shown(x: float | None) -> str | None:
  """A number as it is printed, if there is one."""
  return None if x is None else number(x)


def joined(cells: Iterable[str]) -> str | None:
  """a / b / c, or one of them where all are infinite."""
  cells = list(cells)
  return 'infinite' if {*cells} == {'infinite'} else ' / '.join(cells) or None


def verdict(head: dict) -> str:
  """The condition says more."""
  return f'iff {head["condition"]}' if head['condition'] else head['verdict']


def _margin(head: dict) -> str:
  return '-' if head['margin'] is None else f'{head["margin"]:+.3f}'
