"""Figures: perplexity by length, loss by position and step, theory's place.

Each is written as its path says: .png, or .svg, the same bytes every time.
"""

import itertools
import pathlib

import matplotlib

matplotlib.use('Agg')  # runs have no display
import matplotlib.pyplot as plt
import numpy as np

STYLES = ('-', '--', '-.', ':')


def _axes():
  figure, ax = plt.subplots(figsize=(7, 4.2), layout='constrained')
  ax.grid(alpha=0.25)
  ax.spines[['top', 'right']].set_visible(False)
  return figure, ax


def _save(figure, path: pathlib.Path) -> None:
  temporary = path.with_name(f'.{path.name}')
  kind = path.suffix[1:]
  about = {'Date': None} if kind == 'svg' else None
  with matplotlib.rc_context({'svg.hashsalt': path.name}):
    figure.savefig(temporary, dpi=150, format=kind, metadata=about)
  temporary.replace(path)
  plt.close(figure)


def lengths(
  path: pathlib.Path, rows: list[dict], value: str = 'ppl', title: str = ''
) -> None:
  """`value` against length, a line an encoding, min..max over seeds shaded."""
  figure, ax = _axes()
  names = list(dict.fromkeys(row['rpe'] for row in rows))
  ticks = sorted({row['length'] for row in rows})
  ends = []
  for i, name in enumerate(names):
    mine = [row for row in rows if row['rpe'] == name]
    x = sorted({row['length'] for row in mine})
    seeds = [[r[value] for r in mine if r['length'] == n] for n in x]
    middle = [float(np.median(s)) for s in seeds]
    color = f'C{i % 10}'
    ax.plot(x, middle, STYLES[i // 10 % 4], marker='o', ms=3.5, color=color)
    ax.fill_between(
      x, [min(s) for s in seeds], [max(s) for s in seeds], alpha=0.2,
      color=color, lw=0,
    )  # fmt: skip
    ends.append((middle[-1], name, color))
  _mark(ax, rows[0]['train_length'])
  ax.set(xscale='log', yscale='log', xlabel='length (tokens)')
  ax.set_ylabel('perplexity' if value == 'ppl' else value.replace('_', ' '))
  ax.set_xticks(
    ticks, [f'{n:,}' for n in ticks], rotation=45 * (len(ticks) > 7)
  )
  ax.minorticks_off()
  low, high = ax.get_ylim()
  fine = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)  # within one decade
  subs = fine if high / low < 10 else (1, 2, 5) if high / low < 1e3 else (1,)
  ax.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
  ax.yaxis.set_major_formatter('{x:,g}')
  _label_ends(ax, ends)
  ax.set_title(title or f'{len(names)} encodings' if len(names) > 1 else title)
  _save(figure, path)


def _label_ends(ax, ends: list[tuple]) -> None:
  """Names at the ends of their lines, pushed apart where they would overlap."""
  low, high = ax.get_ylim()
  place = {name: np.log(y / low) / np.log(high / low) for y, name, _ in ends}
  gap, at = 0.055, -np.inf
  for y, name, color in sorted(ends):
    del y
    at = max(place[name], at + gap)
    ax.annotate(
      name, (1.01, at), xycoords='axes fraction', color=color, va='center',
      fontsize=9, annotation_clip=False,
    )  # fmt: skip


def positions(
  path: pathlib.Path, curves: dict, counts: dict, train_length: int
) -> None:
  """Mean loss by position in the window, a line a length.

  curves: {length: nats by position}; counts: {length: windows averaged}. Bins
  widen by 1.25x, and hold 200 targets or more: few windows make wide bins.
  """
  figure, ax = _axes()
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
    color = plt.cm.viridis(i / max(len(curves) - 1, 1) * 0.9)
    ax.plot(x, mean, color=color, label=f'{n:,}', lw=1.4, marker='.', ms=4)
  _mark(ax, train_length)
  ax.set(xscale='log', xlabel='position in the window (tokens)')
  ax.xaxis.set_major_formatter('{x:,g}')
  ax.set_ylabel('loss (nats a token)')
  ax.legend(title='window', fontsize=8, title_fontsize=8, frameon=False)
  _save(figure, path)


def curves(path: pathlib.Path, runs: list[tuple[str, list[dict]]]) -> None:
  """Training loss by step: a colour an encoding, a thin line a seed.

  runs: (encoding, rows of metrics.jsonl); validation loss is dotted.
  """
  figure, ax = _axes()
  names = list(dict.fromkeys(name for name, _ in runs))
  for name, rows in runs:
    i = names.index(name)
    style = dict(color=f'C{i % 10}', ls=STYLES[i // 10 % 4])
    for key, look in (
      ('loss', dict(lw=1, **style)),
      ('valid_loss', dict(style, ls='none', marker='o', ms=3.5)),
    ):
      points = [(r['step'], r[key]) for r in rows if key in r]
      if points:
        ax.plot(*zip(*points, strict=True), **look)
  for i, name in enumerate(names):
    ax.plot([], [], color=f'C{i % 10}', ls=STYLES[i // 10 % 4], label=name)
  ax.plot([], [], 'o', color='0.4', ms=3.5, label='validation')
  ax.set(xlabel='step', ylabel='loss (nats a token)')
  ax.xaxis.set_major_formatter('{x:,g}')
  ax.legend(
    fontsize=8, frameon=False, loc='center left', bbox_to_anchor=(1, 0.5)
  )
  _save(figure, path)


def predictions(
  path: pathlib.Path, points: list[tuple[int, str, float, list[float]]]
) -> None:
  """Measured ratio against TRF; divergent sums stand apart at the right.

  points: (number, which gives the colour that `lengths` gives; encoding; TRF
  in tokens or inf; ratio of each seed).
  """
  figure, ax = _axes()
  finite = np.log10([x for _, _, x, _ in points if np.isfinite(x)] or [1.0])
  low, high = float(finite.min()), float(finite.max())
  edge = high + max(0.2 * (high - low), 0.5)
  places = [np.log10(x) if np.isfinite(x) else edge for _, _, x, _ in points]
  _ratios(ax, points, places)
  ax.set_xlim(low - 0.3, edge + 0.35 * (edge - low) + 0.3)
  if len(finite) < len(points) or not np.isfinite(points[0][2]):
    ax.axvspan(edge - 0.15, ax.get_xlim()[1], color='0.93', lw=0, zorder=0)
  ticks = np.arange(np.ceil(low - 0.3), np.floor(high + 0.3) + 1)
  ticks = ticks[:: max(1, len(ticks) // 8)]
  names = [f'$10^{{{int(t)}}}$' for t in ticks]
  ax.set_xticks([*ticks, edge], [*names, 'infinite'])
  ax.set(xlabel='theoretical receptive field of the widest head (tokens)')
  _save(figure, path)


def far_mass(
  path: pathlib.Path, points: list[tuple[int, str, float, list[float]]]
) -> None:
  """Measured ratio against the share of weight beyond the training length.

  points: as of `predictions`, with that share in place of the TRF.
  """
  figure, ax = _axes()
  _ratios(ax, points, [x for _, _, x, _ in points])
  ax.set(xlabel='share of weight beyond the training length, mean of heads')
  ax.margins(x=0.15)
  _save(figure, path)


def _ratios(ax, points, places) -> None:
  """Median and range of the seeds' ratios, named, at places on the x axis."""
  ends = []
  for (i, name, _, seeds), x in zip(points, places, strict=True):
    y, color = float(np.median(seeds)), f'C{i % 10}'
    ax.plot([x, x], [min(seeds), max(seeds)], color=color, lw=2)
    ax.plot(x, y, 'o', color=color, ms=6)
    ends.append((y, x, name, color))
  ax.axhline(1, color='0.4', lw=1, ls=':')
  ax.set(ylabel='perplexity, longest / training length', yscale='log')
  ax.yaxis.set_major_formatter('{x:.4g}')
  ax.yaxis.set_minor_formatter('{x:.4g}')
  (low, high), near = ax.get_ylim(), 0.08 * (max(places) - min(places))
  placed = []  # names near by are pushed apart where they would overlap
  for y, x, name, color in sorted(ends):
    at = np.log(y / low) / np.log(high / low)
    for other, taken in placed:
      if abs(other - x) <= near:
        at = max(at, taken + 0.04)
    placed.append((x, at))
    ax.plot([x, x], [y, low * (high / low) ** at], color=color, lw=0.5)
    ax.annotate(
      name, (x, at), xycoords=ax.get_xaxis_transform(), color=color,
      va='center', fontsize=9, xytext=(6, 0), textcoords='offset points',
    )  # fmt: skip
  ax.set_ylim(low, high)


def _mark(ax, train_length: int) -> None:
  """A line at the training length."""
  ax.axvline(train_length, color='0.4', lw=1, ls=':')
  ax.annotate(
    ' trained', (train_length, 1), xycoords=('data', 'axes fraction'),
    va='top', color='0.4', fontsize=9,
  )  # fmt: skip
