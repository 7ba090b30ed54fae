"""A prediction as a table for people, with what its numbers mean."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from extrapolation.output import table
from extrapolation.predict.form import FORMS
from extrapolation.predict.predicted import AtLength, Predicted
from extrapolation.predict.reach import Gap
from extrapolation.predict.record import Record

MOST = 4  # lengths in a table; all are in prediction.json
WIDTH = 88


def prediction(of: Record) -> str:
  """The table, its caption, and what is said of single encodings."""
  lengths = sorted({at.length for one in of.predicted for at in one.lengths})
  shown = chosen(lengths)
  rows = [_row(one, shown) for one in _sorted(of.predicted)]
  parts = []
  if rows:
    columns = [k for k in rows[0] if any(row[k] != '-' for row in rows)]
    parts += [table.text(rows, columns), '']
  parts += [*_caption(of, shown), '']
  parts += map(_filled, _notes(of.predicted))
  return '\n'.join(parts).rstrip()


def chosen(lengths: Sequence[int]) -> list[int]:
  """A few lengths, evenly spaced, with the longest."""
  if len(lengths) <= MOST:
    return [*lengths]
  step = len(lengths) / MOST
  return [lengths[math.ceil((i + 1) * step) - 1] for i in range(MOST)]


def _sorted(predicted: Sequence[Predicted]) -> list[Predicted]:
  """By the ratio at the longest length; what has none last, tight first."""

  def key(one: Predicted) -> tuple:
    if one.lengths:
      last = one.lengths[-1]
      return 0, -last.reach if last.ratio is None else last.ratio
    return 1, ('tight', 'not tight', '').index(one.order)

  return sorted(predicted, key=key)


def _row(one: Predicted, shown: Sequence[int]) -> dict[str, str]:
  at = {x.length: x for x in one.lengths}
  last = one.lengths[-1] if one.lengths else None
  row = {'encoding': one.encoding + '*' * bool(one.wider)}
  row['far mass'] = f'{last.far_mass:.3f}' if last else '-'
  for n in shown:
    row[f'ppl ratio {n:,}'] = interval(at.get(n))
  row['reach (tokens)'] = _reach(last) if last else '-'
  return row | dict(attention=one.order or '-')


def interval(at: AtLength | None) -> str:
  """ratio [low..high]."""
  if at is None or at.ratio is None:
    return '-'
  ratio, low, high = at.ratios
  return f'{ratio:.3f} [{_short(low)}..{_short(high)}]'


def percent(share: float) -> str:
  """0.9 as people write it."""
  return f'{100 * share:.0f} %'


def _short(x: float) -> str:
  return f'{x:.3f}' if x < 100 else '>100'


def _reach(at: AtLength) -> str:
  return f'{at.reach:,} [{at.reach_low:,}..{at.reach_high:,}]'


def _caption(of: Record, shown: Sequence[int]) -> list[str]:
  law, trained = of.law, {one.train_length for one in of.predicted}
  L = f'{min(trained):,}' if len(trained) == 1 else 'the training length'
  if not shown:
    return [_filled('No number for any of these encodings; why, below.')]
  text = any(one.has_ratio for one in of.predicted)
  at = L if len(trained) > 1 else f'{L} tokens'
  errors = '; '.join(map(error, law['errors'], law['errors'].values()))
  gap = Gap(**law['gap'])
  more = f' {gap.shift:+.2g} nats' if gap.shift else ''
  lines = [
    f'far mass: share of the weights beyond {at}, mean over heads '
    f'and over the positions of a window of {shown[-1]:,}, from the formula.',
    f'reach: distance in tokens, in a window of {shown[-1]:,}, at which a '
    'needle still holds half of attention, with the logit gap that training '
    f'must have taught{more}; [..]: {gap.ends} ({gap.source}).',
  ]
  if text:
    lines[1:1] = [
      f'ppl ratio N: perplexity at N tokens over that at {L}, on the same '
      f'targets (1: nothing lost); [..]: {percent(law["level"])} interval by '
      'jackknife+, over encodings: it should hold the whole curve, every seed, '
      'of a new encoding, if that is like those of the law.',
    ]
    lines.append(
      f'law: ln(ratio) = {formula(law)}, {law["file"]} {law["digest"]}. '
      f'Errors in nats: {errors}.'
    )
  else:
    lines.append(
      'no ppl ratio: perplexity of the answers to a probe is no '
      "text's, of which the law is."
    )
  return [_filled(line) for line in lines]


def formula(law: Mapping[str, Any]) -> str:
  """The form with its coefficients."""
  names = FORMS[law['form']].names
  values = ', '.join(
    f'{name} = {x:.4g}'
    for name, x in zip(names, law['coefficients'], strict=True)
  )
  return f'{law["form"]} with {values}'


def error(kind: str, of: Mapping[str, Any] | str) -> str:
  """What leaving out one of a kind gives, in words."""
  if isinstance(of, str):
    return of
  return (
    f'one {kind} left out, of {of["groups"]}: median {of["median"]:.3f}, worst '
    f'{of["worst"]:.3f} ({of["of"]})'
  )


def _notes(predicted: Sequence[Predicted]) -> list[str]:
  """Why intervals are wider, and why there are none."""
  wider: dict[str, list[str]] = {}
  for one in predicted:
    if one.lengths:
      for why, more in one.wider.items():
        said = f'+{more:.2g} half-widths for {why}'
        wider.setdefault(said, []).append(one.encoding)
  every = sum(bool(one.lengths) for one in predicted)
  out = []
  if known := [one.encoding for one in predicted if one.fitted]:
    out.append(
      'the law was fitted on these, on the same text, size and training '
      f'length, so for them it is no prediction: {", ".join(known)}'
    )
  for why, names in wider.items():
    who = 'all' if len(names) == every > 1 else ', '.join(names)
    out.append(f'*: interval wider, by assumption: {why} ({who})')
  silent: dict[str, list[str]] = {}
  for one in predicted:
    if one.why:
      order = f'; attention is {one.order}' if one.order else ''
      silent.setdefault(one.why + order, []).append(one.encoding)
  out += [f'no number for {", ".join(n)}: {why}' for why, n in silent.items()]
  if any(one.order for one in predicted):
    out.append(
      'order alone: tight (one window does for every query) before not tight'
    )
  return out


def _filled(line: str) -> str:
  return textwrap.fill(line, WIDTH, subsequent_indent='  ')
