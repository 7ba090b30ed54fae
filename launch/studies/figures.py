"""A figure for every question of the study."""

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from configs.study import matched
from extrapolation.output import figure
from extrapolation.report import scored
from launch.studies import probe_answers
from launch.studies.sweeps import Sweep, median, ratio

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
  for i, name in enumerate(x for x in text.labels if x in needles.labels):
    right = probe_answers.values(needles, name, far, far - 1, 'accuracy')
    mark(ax, median(text.ratios(name)), right, i, name)
  ax.set_xscale('log')
  figure.by_ratio(ax, 'x')
  ax.axvline(probe_answers.GOOD_RATIO, color='0.5', lw=0.9, ls=':')
  ax.axhline(probe_answers.GOOD_ACCURACY, color='0.5', lw=0.9, ls=':')
  ax.set(xlabel=RATIO, ylabel=f'needle at the far end of {far}: accuracy')
  ax.set_ylim(-0.03, 1.05)
  names(page, [ax])
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
  axes[0].set(
    xscale='log', xlabel='rate: local exponent at 9,216', ylabel=RATIO,
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
