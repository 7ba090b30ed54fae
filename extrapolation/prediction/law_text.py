"""A law as tables for people: what it was fitted on, and what it misses."""

from extrapolation.output import table
from extrapolation.prediction.law import Law
from extrapolation.prediction.text import error, formula, percent

RESIDUALS = (
  'study', 'encoding', 'length', 'far_mass', 'measured', 'predicted', 'residual'
)  # fmt: skip
MOST_ROWS = 10


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
    f'reach: {of.gap.source}',
    *(
      f'{one["study"]}, left out: {name}: {why}'
      for one in about['studies']
      for name, why in one['left_out'].items()
    ),
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
