"""The law with what it was fitted on: loss of perplexity against far mass."""

import os
from collections.abc import Sequence

import matplotlib
import numpy as np

from extrapolation.output import figure, plot
from extrapolation.predict import text
from extrapolation.predict.law import Law

NAMED = 4


def law(path: str | os.PathLike, of: Law) -> None:
  """Nats against far mass: the law, its interval, every encoding of a study.

  A line joins the lengths of an encoding; learned ones, which do not move the
  fit, are dashed. Those that are missed most are named.
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
  colors, markers = matplotlib.colormaps['tab10'], 'osD^vPX'
  studies = list(dict.fromkeys(study for study, _ in curves))
  for (study, _), rows in curves.items():
    i = studies.index(study)
    x, y = zip(*((r['far_mass'], r['measured']) for r in rows), strict=True)
    style = '--' if rows[0]['learned'] else '-'
    (line,) = ax.plot(x, y, style, color=colors(i % 10), lw=0.8)
    line.set(marker=markers[i % len(markers)], ms=4, alpha=0.8, label='_')
  for i, study in enumerate(studies):
    ax.plot([], [], markers[i % len(markers)], color=colors(i % 10), ms=5,
            label=study)  # fmt: skip
  for row in _farthest(of.about['residuals']):
    ax.annotate(
      row['encoding'], (row['far_mass'], row['measured']), (-6, 4),
      textcoords='offset points', ha='right', fontsize=8, color='0.3',
    )  # fmt: skip
  ax.axhline(0, color='0.6', lw=0.8)
  ax.set(xlabel='far mass before training, mean over heads and positions')
  ax.set_ylabel('ln(ppl$_N$ / ppl$_L$)  (nats)')
  ax.legend(
    fontsize=8, frameon=False, loc='center left', bbox_to_anchor=(1, 0.5)
  )
  figure.save(page, path)


def _farthest(residuals: Sequence[dict]) -> list[dict]:
  """Of the NAMED encodings that the law misses most, the row where it does."""
  worst: dict[str, dict] = {}
  for row in sorted(residuals, key=lambda r: -abs(r['residual'])):
    worst.setdefault(row['encoding'], row)
  return [*worst.values()][:NAMED]
