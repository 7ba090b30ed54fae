"""A law as tables for people: what it was fitted on, and what it misses."""

from collections.abc import Iterator, Mapping
from typing import Any

from extrapolation.output import table
from extrapolation.predict.law import Law
from extrapolation.predict.text import error, formula, percent

RESIDUALS = (
  'study', 'encoding', 'length', 'far_mass', 'measured', 'predicted', 'residual'
)  # fmt: skip
MOST_ROWS = 10
MOST_NAMES = 4  # of what is left out for one reason


def law(of: Law) -> str:
  """How a law was chosen, what it was fitted on, and what it misses."""
  about, n = of.about, len(of.left_out)
  studies = [
    {
      'study': one['study'],
      'corpus': one['corpus'],
      'size': one['size'],
      'trained at': one['train_length'],
      'encodings': len(one['encodings']),
      'runs': one['runs'],
      'rows': one['rows'],
    }
    for one in about['studies']
  ]
  forms = [
    {
      'ln(ppl ratio)': one['form'],
      'coefficients': ', '.join(f'{x:.4g}' for x in one['at']),
      'median': one['median'],
      'worst': one['worst'],
      'of': one['of'],
    }
    for one in about['forms']
  ]
  rows = [
    {key: row[key] for key in RESIDUALS}
    for row in sorted(about['residuals'], key=lambda r: -abs(r['residual']))
  ]
  known = dict(form=of.form, coefficients=of.at)
  lines = [
    f'law: ln(ratio) = {formula(known)} ({about["meaning"]})',
    f'{percent(of.level)} intervals (jackknife+) from {n} encodings, '
    f'{of.seen["runs"]} runs; {n} can promise {percent(n / (n + 1))} at most',
    'learned weights, from initial values: half-width x '
    f'{of.learned_factor:.2g} ({", ".join(of.learned) or "assumed"})',
    *(error(kind, one) for kind, one in of.errors.items()),
    f'reach: a gap of {of.gap.shift:+.2g} nats beyond what training taught, '
    f'{of.gap.ends} ({of.gap.source})',
    *(line for one in about['studies'] for line in _left_out(one)),
  ]
  return '\n'.join([
    table.text(studies, studies[0]),
    '',
    'forms; errors in nats with one encoding left out',
    '',
    table.text(forms, forms[0]),
    '',
    *lines,
    '',
    f'largest residuals, in nats ({MOST_ROWS} of {len(rows)})',
    '',
    table.text(rows[:MOST_ROWS], RESIDUALS),
  ])  # fmt: skip


def _left_out(study: Mapping[str, Any]) -> Iterator[str]:
  """A line for every reason: of which, or of how many, if they are many."""
  by_why: dict[str, list[str]] = {}
  for name, why in study['left_out'].items():
    by_why.setdefault(why, []).append(name)
  for why, names in by_why.items():
    first = ', '.join(names[:MOST_NAMES])
    rest = f' and {len(names) - MOST_NAMES} more' * (len(names) > MOST_NAMES)
    yield f'{study["study"]}, left out: {first}{rest}: {why}'
