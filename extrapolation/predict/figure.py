"""The law with what it was fitted on: loss of perplexity against far mass."""

import os

import matplotlib
import numpy as np

from extrapolation.output import figure, plot
from extrapolation.predict import text
from extrapolation.predict.law import Law


def law(path: str | os.PathLike, of: Law) -> None:
  """Nats against far mass: the law, its interval, every encoding of a study.

  A line joins the lengths of an encoding; learned ones, which do not move the
  fit, are dashed.
  """
  page, ax = plot.axes()
  page.set_size_inches(8, 5)
  F = np.linspace(0, 0.95 * (1 + of.seen['far_mass']) / 2, 200)
  low, high = np.array([of.interval(x) for x in F]).T
  interval = f'{text.percent(of.level)} interval'
  ax.fill_between(F, low, high, color='0.92', lw=0, label=interval)
  ax.plot(F, [of.nats(x) for x in F], color='0.2', lw=2, label=of.form)
  ax.axvline(of.seen['far_mass'], color='0.5', lw=1, ls=':')
  ax.annotate(
    'most that was fitted ', (of.seen['far_mass'], 0.01), ha='right',
    xycoords=('data', 'axes fraction'), color='0.4', fontsize=8,
  )  # fmt: skip
  curves: dict[tuple[str, str], list[dict]] = {}
  for row in of.about['residuals']:
    curves.setdefault((row['study'], row['encoding']), []).append(row)
  studies = list(dict.fromkeys(study for study, _ in curves))
  colors = matplotlib.colormaps['tab20']
  names = list(dict.fromkeys(name for _, name in curves))
  for (study, name), rows in curves.items():
    x, y = zip(*((r['far_mass'], r['measured']) for r in rows), strict=True)
    marker = 'osD^v'[studies.index(study) % 5]
    style = '--' if rows[0]['learned'] else '-'
    color = colors(names.index(name) % 20)
    (line,) = ax.plot(x, y, style, marker=marker, color=color, lw=1, ms=4)
    again = name in ax.get_legend_handles_labels()[1]
    line.set_label('_' if again else name)
  for i, study in enumerate(studies):
    ax.plot([], [], 'osD^v'[i % 5], color='0.4', ms=4, label=study)
  ax.axhline(0, color='0.6', lw=0.8)
  ax.set(xlabel='far mass before training, mean over heads and positions')
  ax.set_ylabel('ln(ppl$_N$ / ppl$_L$)  (nats)')
  ax.legend(
    fontsize=8, frameon=False, loc='center left', bbox_to_anchor=(1, 0.5)
  )
  figure.save(page, path)
