"""Figures of the questions about text, and what all figures share."""

import math
import os
from collections.abc import Sequence
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from configs.study import matched
from extrapolation.output import figure
from extrapolation.report import scored
from launch.studies.sweeps import Sweep, ratio

MARKS = 'osD^vP*X'
RATIO = 'ppl at the longest length / ppl at that of training'


def panels(n: int, width: float = 4.6, height: float = 4.2, **how) -> tuple:
  """A page with n panels side by side."""
  page = Figure(figsize=(1.2 + width * n, height), layout='constrained')
  axes = page.subplots(1, n, squeeze=False, **how)[0]
  for ax in axes:
    figure.plain(ax)
  return page, axes


def mark(ax: Axes, x: float, seeds: Sequence[float], i: int, name: str) -> None:
  """The median of seeds with their least and largest."""
  y = median(seeds)
  ax.errorbar(
    [x], [y], [[y - min(seeds)], [max(seeds) - y]], color=f'C{i % 10}',
    marker=MARKS[i % 8], ms=6, mfc='none', elinewidth=1, ls='', label=name,
  )  # fmt: skip


def names(page: Figure, axes: Sequence[Axes]) -> None:
  """One legend at the right, of what any panel has."""
  handles = {}
  for ax in axes:
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
      handles.setdefault(label, handle)
  page.legend(
    handles.values(), handles, loc='outside right upper', fontsize=8,
    frameon=False,
  )  # fmt: skip


def band(ax: Axes, s: Sweep) -> None:
  """The prediction of a sweep, against far mass: its line and interval."""
  at = sorted(
    (x.lengths[-1].far_mass, *x.lengths[-1].ratios)
    for x in s.made.predicted
    if x.has_ratio
  )
  F, middle, low, high = np.array(at).T
  ax.plot(F, middle, color='0.4', lw=1.2, label='predicted')
  ax.fill_between(F, low, high, color='0.9', lw=0, label='90 % interval')


def far_mass(path: str | os.PathLike, sweeps: Sequence[Sweep]) -> None:
  """a: ratio against far mass, a panel per corpus."""
  page, axes = panels(len(sweeps), 3.7, sharey=True)
  every = list(dict.fromkeys(x for s in sweeps for x in s.labels))
  judged = [x for x in every if sweeps[0].far_mass(x) is not None]
  for ax, s in zip(axes, sweeps, strict=True):
    band(ax, s)
    for i, name in enumerate(judged):
      if name in s.labels:
        mark(ax, s.far_mass(name) or 0.0, s.ratios(name), i, name)
    ax.set(xlabel='far mass before training', title=s.corpus)
  axes[0].set_ylabel(RATIO)
  names(page, axes)
  figure.save(page, path)


def settings(path: str | os.PathLike, s: Sweep) -> None:
  """d: the ratio of every encoding in every setting."""
  page, (ax,) = panels(1, 5.6, 3.8)
  encodings = list(dict.fromkeys(r.config.model.label for r in s.finished))
  for run in s.finished:
    e = run.config
    y = encodings.index(e.model.label)
    short = str(e.model.dtype) == 'bfloat16'
    fast = e.optim.lr > 4e-3
    decays = e.optim.weight_decay > 0
    ax.plot(
      ratio(run), y + 0.12 * (2 * fast - 1) + 0.05 * (2 * short - 1),
      's' if short else 'o', ms=5, color='C3' if fast else 'C0',
      mfc='none' if decays else None, alpha=0.8,
    )  # fmt: skip
  for look, name in (
    (dict(marker='o', color='C0'), 'float32, rate 0.002, no decay'),
    (dict(marker='s', color='C0'), 'bfloat16'),
    (dict(marker='o', color='C3'), 'rate 0.008'),
    (dict(marker='o', color='C0', mfc='none'), 'weight decay 0.1'),
  ):
    ax.plot([], [], ls='', ms=5, label=name, **look)
  ax.set_yticks(range(len(encodings)), encodings)
  ax.invert_yaxis()
  ax.set_xlabel(RATIO)
  names(page, [ax])
  figure.save(page, path)


def one_head(path: str | os.PathLike, s: Sweep) -> None:
  """e: the ratio against mean far mass, a point per mixture."""
  page, (ax,) = panels(1)
  band(ax, s)
  for i, name in enumerate(s.labels):
    mark(ax, s.far_mass(name) or 0.0, s.ratios(name), i, name)
  ax.set(xlabel='far mass before training, mean of heads', ylabel=RATIO)
  names(page, [ax])
  figure.save(page, path)


def rate(path: str | os.PathLike, s: Sweep) -> None:
  """g: equal far mass against rate; equal rate against far mass."""
  page, axes = panels(2, 4.0, sharey=True)
  for i, name in enumerate(x for x in s.labels if x in matched.EQUAL_FAR_MASS):
    mark(axes[0], matched.rate(name), s.ratios(name), i, name)
  for i, name in enumerate(x for x in s.labels if x in matched.EQUAL_RATE):
    mark(axes[1], s.far_mass(name) or 0.0, s.ratios(name), i + 4, name)
  figure.by_ratio(axes[0], 'x')
  axes[0].set(
    xlabel='rate: local exponent at 9,216', ylabel=RATIO,
    title='equal far mass',
  )  # fmt: skip
  axes[1].set(xlabel='far mass before training', title='equal rate')
  names(page, axes)
  figure.save(page, path)


def out_of_sample(path: str | os.PathLike, sweeps: Sequence[Sweep]) -> None:
  """f: measured ratio against its prediction, with the interval."""
  page, (ax,) = panels(1, 5.4, 4.8)
  ends = [1.0]
  for i, s in enumerate(sweeps):
    known = [x for x in scored.score(s.made, s.runs) if x.predicted.lengths]
    known = [x for x in known if not x.predicted.fitted]
    title = f'{s.question} {s.corpus}'.strip()
    for x in known:
      mean, low, high = x.at.ratios
      y = math.log(x.ratio)
      ax.plot([math.log(low), math.log(high)], [y, y], color=f'C{i}', lw=0.6,
              alpha=0.4)  # fmt: skip
      ax.plot(math.log(mean), y, MARKS[i % 8], color=f'C{i}', ms=5, label=title)
      ends += [math.log(low), math.log(high), y]
  ends = [min(ends[1:], default=0), max(ends[1:], default=0)]
  ax.plot(ends, ends, color='0.5', lw=0.9)
  ax.set(
    xlabel='predicted ln(ppl ratio), 90 % interval',
    ylabel='measured, median of seeds',
  )  # fmt: skip
  names(page, [ax])
  figure.save(page, path)
