"""Figures of what theory predicts against what was measured."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

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
  """Measured against predicted ratio, with intervals and the range of seeds.

  Where an interval crosses the diagonal, the prediction was right.
  """
  page, ax = plot.axes()
  page.set_size_inches(6.5, 6)
  medians = [float(np.median(p.ratios)) for p in points]
  every = [*medians, *(x for p in points for x in (*p.predicted, *p.ratios))]
  low, high = min(every), max(every)
  pad = (high / low) ** 0.04
  ends = low / pad, high * pad
  ax.plot(ends, ends, color='0.4', lw=1, ls=':')
  for p, y in zip(points, medians, strict=True):
    x, x_low, x_high = p.predicted
    color = f'C{p.number % 10}'
    ax.plot([x_low, x_high], [y, y], color=color, lw=1, alpha=0.7)
    ax.plot([x, x], [min(p.ratios), max(p.ratios)], color=color, lw=2)
    ax.plot(x, y, 'o', color=color, ms=6)
  labels = -np.inf  # pushed apart where they would overlap
  for y, p in sorted(zip(medians, points, strict=True), key=lambda z: z[0]):
    at = np.log(y / ends[0]) / np.log(ends[1] / ends[0])
    labels = at = max(at, labels + 0.035)
    ax.annotate(
      p.name, (1.01, at), xycoords='axes fraction', va='center', fontsize=9,
      color=f'C{p.number % 10}', annotation_clip=False,
    )  # fmt: skip
  ax.set(xscale='log', yscale='log', xlim=ends, ylim=ends)
  for axis in (ax.xaxis, ax.yaxis):
    axis.set_major_formatter('{x:.4g}')
    axis.set_minor_formatter('{x:.4g}' if high / low < 3 else '')
  ax.tick_params(axis='x', which='both', rotation=45)
  ax.set(xlabel='predicted perplexity ratio, with its interval')
  ax.set_ylabel('measured, longest / training length')
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
  ax.set(ylabel='perplexity, longest / training length', yscale='log')
  ax.yaxis.set_major_formatter('{x:.4g}')
  ax.yaxis.set_minor_formatter('{x:.4g}')
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
