"""Figures of runs: perplexity by length, loss by position and by step."""

import itertools
import os
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure

STYLES = ('-', '--', '-.', ':')


def axes() -> tuple[Figure, Axes]:
  """A figure of one panel."""
  page = Figure(figsize=(7, 4.2), layout='constrained')
  ax = page.subplots()
  figure.plain(ax)
  return page, ax


def lengths(
  path: str | os.PathLike,
  rows: Sequence[dict],
  value: str = 'ppl',
  title: str = '',
) -> None:
  """`value` against length, a line per encoding, min..max of seeds shaded."""
  page, ax = axes()
  names = list(dict.fromkeys(row['rpe'] for row in rows))
  ticks = sorted({row['length'] for row in rows})
  ends = []
  for i, name in enumerate(names):
    runs = [row for row in rows if row['rpe'] == name]
    x = sorted({row['length'] for row in runs})
    seeds = [[r[value] for r in runs if r['length'] == n] for n in x]
    medians = [float(np.median(s)) for s in seeds]
    color = f'C{i % 10}'
    ax.plot(x, medians, STYLES[i // 10 % 4], marker='o', ms=3.5, color=color)
    low, high = [min(s) for s in seeds], [max(s) for s in seeds]
    ax.fill_between(x, low, high, alpha=0.2, color=color, lw=0)
    ends.append((medians[-1], name, color))
  _mark(ax, rows[0]['train_length'])
  ax.set(xscale='log', xlabel='length (tokens)')
  ax.set_ylabel('perplexity' if value == 'ppl' else value.replace('_', ' '))
  ax.set_xticks(
    ticks, [f'{n:,}' for n in ticks], rotation=45 * (len(ticks) > 7)
  )
  ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
  figure.by_ratio(ax)
  _label_ends(ax, ends)
  ax.set_title(title or f'{len(names)} encodings' if len(names) > 1 else title)
  figure.save(page, path)


def _label_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
  """Names at the ends of their lines, pushed apart where they would overlap."""
  low, high = ax.get_ylim()
  gap, at = 0.055, -np.inf
  for y, name, color in sorted(ends):
    at = max(np.log(y / low) / np.log(high / low), at + gap)
    ax.annotate(
      name, (1.01, at), xycoords='axes fraction', color=color, va='center',
      fontsize=9, annotation_clip=False,
    )  # fmt: skip


def positions(
  path: str | os.PathLike,
  curves: Mapping[int, np.ndarray],
  counts: Mapping[int, int],
  train_length: int,
) -> None:
  """Mean loss by position in the window, a line per length.

  curves: {length: nats by position}; counts: {length: windows averaged}. Bins
  widen by 1.25x, and hold 200 targets or more: few windows make wide bins.
  """
  page, ax = axes()
  viridis = matplotlib.colormaps['viridis']
  for i, (n, y) in enumerate(curves.items()):
    edges = [0]
    while edges[-1] < n:
      wide = max(-(-200 // counts[n]), int(0.25 * edges[-1]), 1)
      edges.append(min(edges[-1] + wide, n))
    x, mean = [], []
    for a, b in itertools.pairwise(edges):
      if np.isfinite(y[a:b]).any():
        x.append(np.sqrt((a + 1) * b))
        mean.append(np.nanmean(y[a:b]))
    color = viridis(i / max(len(curves) - 1, 1) * 0.9)
    ax.plot(x, mean, color=color, label=f'{n:,}', lw=1.4, marker='.', ms=4)
  _mark(ax, train_length)
  ax.set(xscale='log', xlabel='position in the window (tokens)')
  ax.xaxis.set_major_formatter('{x:,g}')
  ax.set_ylabel('loss (nats per target)')
  ax.legend(title='window', fontsize=8, title_fontsize=8, frameon=False)
  figure.save(page, path)


def curves(
  path: str | os.PathLike, runs: Sequence[tuple[str, Sequence[dict]]]
) -> None:
  """Training loss by step: a colour per encoding, a thin line per seed.

  runs: (encoding, rows of metrics.jsonl); validation loss is dotted.
  """
  page, ax = axes()
  names = list(dict.fromkeys(name for name, _ in runs))
  for name, rows in runs:
    i = names.index(name)
    color, line = f'C{i % 10}', STYLES[i // 10 % 4]
    for key, look in (('loss', line), ('valid_loss', 'o')):
      points = [(r['step'], r[key]) for r in rows if key in r]
      if points:
        x, y = zip(*points, strict=True)
        ax.plot(x, y, look, color=color, lw=1, ms=3.5)
  for i, name in enumerate(names):
    ax.plot([], [], color=f'C{i % 10}', ls=STYLES[i // 10 % 4], label=name)
  ax.plot([], [], 'o', color='0.4', ms=3.5, label='validation')
  ax.set(xlabel='step', ylabel='loss (nats per target)')
  ax.xaxis.set_major_formatter('{x:,g}')
  ax.legend(
    fontsize=8, frameon=False, loc='center left', bbox_to_anchor=(1, 0.5)
  )
  figure.save(page, path)


def _mark(ax: Axes, train_length: int) -> None:
  """A line at the training length."""
  ax.axvline(train_length, color='0.4', lw=1, ls=':')
  ax.annotate(
    ' training length', (train_length, 1), xycoords=('data', 'axes fraction'),
    va='top', color='0.4', fontsize=9,
  )  # fmt: skip
