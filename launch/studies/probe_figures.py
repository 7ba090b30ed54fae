"""Figures of the questions about needles."""

import os
from collections.abc import Sequence
from statistics import median

from extrapolation.output import figure
from launch.studies import probe_answers
from launch.studies.figures import RATIO, mark, names, panels
from launch.studies.sweeps import Sweep

WIDEST = 1.2  # ratio of a panel that shows what is near 1


def retrieval(path: str | os.PathLike, s: Sweep) -> None:
  """b: a needle held near, a needle that moves away, and reach."""
  page, axes = panels(3, 4.2)
  lengths = probe_answers.lengths(s)
  longest = lengths[-1]
  distances = sorted(
    {c['distance'] for r in s.finished for c in r.cells
     if c['length'] == longest}
  )  # fmt: skip
  for i, name in enumerate(s.labels):
    how = dict(color=f'C{i % 10}', ls='-' if i < 10 else '--', label=name)
    near = [
      median(probe_answers.values(s, name, n, probe_answers.HELD, 'margin'))
      for n in lengths
    ]
    axes[0].plot(lengths, near, marker='o', ms=3, lw=1.2, **how)
    away = [
      median(probe_answers.values(s, name, longest, t, 'accuracy'))
      for t in distances
    ]
    axes[1].plot(distances, away, marker='o', ms=3, lw=1.2, **how)
    one = s.predicted(name)
    if one.lengths:
      reach = [
        float(row['reach']) for run in s.of(name) for row in run.reaches
        if row['length'] == longest
      ]  # fmt: skip
      mark(axes[2], one.lengths[-1].reach, reach, i, name)
  for ax in axes[:2]:
    ax.set_xscale('log')
    ax.xaxis.set_major_formatter('{x:,g}')
    ax.minorticks_off()
  axes[0].set_xticks(lengths, [f'{n:,}' for n in lengths])
  axes[0].set(
    xlabel='window (tokens)', ylabel='margin of the answer (nats)',
    title=f'needle at distance {probe_answers.HELD}',
  )  # fmt: skip
  axes[1].set(
    xlabel='distance of the needle (tokens)', ylabel='accuracy',
    title=f'in a window of {longest:,}', ylim=(-0.03, 1.03),
  )  # fmt: skip
  for which in 'xy':
    axes[2].set(**{f'{which}scale': 'symlog'})
    getattr(axes[2], f'{which}axis').set_major_formatter('{x:,g}')
    axes[2].minorticks_off()
  axes[2].plot([0, longest], [0, longest], color='0.6', lw=0.8)
  axes[2].set(
    xlabel='predicted (tokens)', ylabel='measured (tokens)',
    title=f'reach at 50 % in {longest:,}',
  )  # fmt: skip
  names(page, axes)
  figure.save(page, path)


def costs(path: str | os.PathLike, cells: Sequence[dict]) -> None:
  """b: accuracy against cost in a window beyond that of the sweep."""
  page, (ax,) = panels(1, 5.2, 4.0)
  known = [c for c in cells if isinstance(c['cost'], int | float)]
  for i, name in enumerate(dict.fromkeys(c['encoding'] for c in known)):
    own = [c for c in known if c['encoding'] == name]
    for t in sorted({c['distance'] for c in own}):
      at = [c for c in own if c['distance'] == t]
      mark(ax, at[0]['cost'], [c['accuracy'] for c in at], i, name)
  ax.axvspan(4.5, 5.6, color='0.9', lw=0, label='gap that was assumed')
  ax.set(
    xlabel='cost: gap for half of the attention (nats)', ylabel='accuracy',
    title=f'needles in {cells[0]["length"]:,} tokens', ylim=(-0.03, 1.05),
  )  # fmt: skip
  names(page, [ax])
  figure.save(page, path)


def both(path: str | os.PathLike, text: Sweep, needles: Sweep) -> None:
  """c: ratio on text against accuracy at the far end."""
  page, (ax,) = panels(1)
  far = probe_answers.FAR
  beyond = []
  for i, name in enumerate(x for x in text.labels if x in needles.labels):
    right = probe_answers.values(needles, name, far, far - 1, 'accuracy')
    flat = median(text.ratios(name))
    if flat > WIDEST:
      beyond.append(f'{name}: {flat:.2f}, {median(right):.2f}')
    else:
      mark(ax, flat, right, i, name)
  if beyond:
    note = 'further right, accuracy\n' + '\n'.join(beyond)
    ax.annotate(note, (0.98, 0.03), xycoords='axes fraction', ha='right',
                fontsize=8, color='0.4')  # fmt: skip
  ax.set_xscale('log')
  figure.by_ratio(ax, 'x')
  ax.axvline(probe_answers.GOOD_RATIO, color='0.5', lw=0.9, ls=':')
  ax.axhline(probe_answers.GOOD_ACCURACY, color='0.5', lw=0.9, ls=':')
  ax.set(xlabel=RATIO, ylabel=f'needle at the far end of {far}: accuracy')
  ax.set_ylim(-0.03, 1.05)
  names(page, [ax])
  figure.save(page, path)
