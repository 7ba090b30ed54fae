"""The far mass of the heads of a record as a table, and as columns of CSV."""

import rich.box
import rich.table

from extrapolation.output.table import number


def far_table(heads: list[tuple[str, dict]], n: int) -> rich.table.Table | None:
  """A row per head: label and record; None for weights without numbers."""
  if any(head['far'] is None for _, head in heads):
    return None
  train = heads[0][1]['far']['train']
  out = rich.table.Table(
    box=rich.box.SIMPLE_HEAD,
    title=f'keys beyond {train} of {n}; reach in nats, of {train} and {n} keys',
    title_justify='left',
  )
  given = any(head['far']['share'] for _, head in heads)
  titles = ['head', 'far mass', 'in the mean', f'n_half({train})']
  titles[3:3] = ['share, given M'] * given
  titles += [f'reach {t}' for t in (train - 1, train, n - 1)]
  for title in titles:
    out.add_column(title, justify='right', no_wrap=True)
  for label, head in heads:
    far = head['far']
    shares = [head['horizon']['far_mass'], far['mean']]
    cells = [label, *(_cell(x, '.3g') for x in shares)]
    if given:
      ends = far['share'] or (None, None)
      cells.append('..'.join(_cell(x, '.3g') for x in ends))
    reach = [_cell(x, '.2f') for x in far['reach'].values()]
    out.add_row(*cells, _half(far['n_half']), *reach)
  return out


def columns(far: dict | None) -> dict:
  """Columns of CSV; `inf` is never."""
  if far is None:
    return {}
  low, high = far['share'] or (None, None)
  ends = far['n_half'].values()
  half = ['inf', 'inf'] if set(ends) == {None} else list(ends)
  out = dict(far_mean=far['mean'], share_low=low, share_high=high)
  out |= dict(zip(('n_half_low', 'n_half_high'), half, strict=True))
  return out | {f'reach_{k}': x for k, x in far['reach'].items()}


def _cell(x: float | None, form: str) -> str:
  return '-' if x is None else format(x, form)


def _half(bracket: dict) -> str:
  low, high = bracket.values()
  if low is None:
    return 'never'
  if high is None:
    return f'>= {number(low)}'
  return number(low) if low == high else f'{number(low)}..{number(high)}'
