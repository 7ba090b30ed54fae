"""Figures of what theory predicts against what was measured."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure, plot


class Point(NamedTuple):
  """An encoding in a figure.

  Attributes:
    number: gives the colour that `plot.lengths` gives.
    name: the encoding.
    x: what theory says of it.
    ratios: what was measured, per seed.
  """

  number: int
  name: str
  x: float
  ratios: list[float]


def predictions(path: str | os.PathLike, points: Sequence[Point]) -> None:
  """Measured ratio against TRF; divergent sums stand apart at the right.

  points: their x are TRF in tokens, or inf.
  """
  page, ax = plot.axes()
  finite = np.log10([p.x for p in points if np.isfinite(p.x)] or [1.0])
  low, high = float(finite.min()), float(finite.max())
  edge = high + max(0.2 * (high - low), 0.5)
  _ratios(
    ax, points, [np.log10(p.x) if np.isfinite(p.x) else edge for p in points]
  )
  ax.set_xlim(low - 0.3, edge + 0.35 * (edge - low) + 0.3)
  if len(finite) < len(points) or not np.isfinite(points[0].x):
    ax.axvspan(edge - 0.15, ax.get_xlim()[1], color='0.93', lw=0, zorder=0)
  ticks = np.arange(np.ceil(low - 0.3), np.floor(high + 0.3) + 1)
  ticks = ticks[:: max(1, len(ticks) // 8)]
  names = [f'$10^{{{int(t)}}}$' for t in ticks]
  ax.set_xticks([*ticks, edge], [*names, 'infinite'])
  ax.set(xlabel='theoretical receptive field of the widest head (tokens)')
  figure.save(page, path)


def far_mass(path: str | os.PathLike, points: Sequence[Point]) -> None:
  """Measured ratio against the share of weight beyond the training length.

  points: their x are that share.
  """
  page, ax = plot.axes()
  _ratios(ax, points, [p.x for p in points])
  ax.set(xlabel='share of weight beyond the training length, mean of heads')
  ax.margins(x=0.15)
  figure.save(page, path)


class Interval(NamedTuple):
  """An encoding that was predicted.

  Attributes:
    number: gives the colour that `plot.lengths` gives.
    name: the encoding.
    predicted: ratio, with the ends of its interval.
    ratios: what was measured, per seed.
  """

  number: int
  name: str
  predicted: tuple[float, float, float]
  ratios: Sequence[float]


def scored(path: str | os.PathLike, points: Sequence[Interval]) -> None:
  """Predicted ratio with its interval, and measured ones, a row per encoding.

  Rows are in the order of the predictions; what was measured is filled where
  its median lies in the interval.
  """
  page = Figure(figsize=(7, 1.2 + 0.3 * len(points)), layout='constrained')
  ax = page.subplots()
  figure.plain(ax)
  rows = sorted(points, key=lambda p: -p.predicted[0])
  for y, p in enumerate(rows):
    x, low, high = p.predicted
    color, median = f'C{p.number % 10}', float(np.median(p.ratios))
    ax.plot([low, high], [y, y], color='0.8', lw=7, solid_capstyle='butt')
    ax.plot(x, y, '|', color='0.3', ms=12, mew=1.5)
    ax.plot([min(p.ratios), max(p.ratios)], [y, y], color=color, lw=2)
    face = color if low <= median <= high else 'white'
    ax.plot(median, y, 'o', color=color, mfc=face, ms=6)
  ax.plot([], [], color='0.8', lw=7, label='predicted, with its interval')
  ax.plot([], [], 'o-', color='0.3', lw=2, ms=6, label='measured, all seeds')
  ax.axvline(1, color='0.4', lw=1, ls=':')
  low, high = ax.get_xlim()
  if low > 0 and high > 4 * low:
    figure.by_ratio(ax, 'x')
  ax.set_yticks(range(len(rows)), [p.name for p in rows])
  ax.set_ylim(-0.6, len(rows) - 0.4)
  ax.set(xlabel='perplexity, longest / training length')
  ax.legend(
    fontsize=8, frameon=False, ncol=2, loc='lower center',
    bbox_to_anchor=(0.5, 1.0),
  )  # fmt: skip
  figure.save(page, path)


def _ratios(ax: Axes, points: Sequence[Point], xs: Sequence[float]) -> None:
  """Median and range of the seeds' ratios, named, at xs."""
  ends = []
  for p, x in zip(points, xs, strict=True):
    y, color = float(np.median(p.ratios)), f'C{p.number % 10}'
    ax.plot([x, x], [min(p.ratios), max(p.ratios)], color=color, lw=2)
    ax.plot(x, y, 'o', color=color, ms=6)
    ends.append((y, x, p.name, color))
  ax.axhline(1, color='0.4', lw=1, ls=':')
  ax.set(ylabel='perplexity, longest / training length')
  figure.by_ratio(ax)
  (low, high), near = ax.get_ylim(), 0.08 * (max(xs) - min(xs))
  labels: list[tuple[float, float]] = []
  for y, x, name, color in sorted(ends):
    at = np.log(y / low) / np.log(high / low)
    for other, taken in labels:  # pushed apart where they would overlap
      if abs(other - x) <= near:
        at = max(at, taken + 0.04)
    labels.append((x, at))
    ax.plot([x, x], [y, low * (high / low) ** at], color=color, lw=0.5)
    ax.annotate(
      name, (x, at), xycoords=ax.get_xaxis_transform(), color=color,
      va='center', fontsize=9, xytext=(6, 0), textcoords='offset points',
    )  # fmt: skip
  ax.set_ylim(low, high)
