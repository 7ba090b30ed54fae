"""Figures of models on places: loss by size, and where it is lost."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure, plot

NAMES = dict(
  excess='excess over the exact optimum (nats)',
  nll='loss (nats)',
  accuracy='accuracy',
)


def value_of(rows: Sequence[dict]) -> str:
  """What is drawn: the excess, or the loss where no optimum is known."""
  known = all(np.isfinite(float(row['excess'])) for row in rows)
  return 'excess' if known else 'nll'


def sizes(
  path: str | os.PathLike, panels: Mapping[str, Sequence[dict]], value: str = ''
) -> None:
  """`value` against size, a line per encoding, min..max of seeds shaded.

  Args:
    panels: rows by title, side by side on one scale.
    value: a column; by default as `value_of` says.
  """
  rows = [row for panel in panels.values() for row in panel]
  value = value or value_of(rows)
  page = Figure(figsize=(2.4 + 4.6 * len(panels), 4.4), layout='constrained')
  axes = page.subplots(1, len(panels), sharey=True, squeeze=False)[0]
  names = list(dict.fromkeys(row['rpe'] for row in rows))
  for ax, (title, panel) in zip(axes, panels.items(), strict=True):
    figure.plain(ax)
    _lines(ax, panel, names, value)
    ax.set_title(title)
  axes[0].set_ylabel(NAMES.get(value, value))
  if value == 'excess':
    axes[0].set_yscale('symlog', linthresh=0.01)
    least = min(float(row[value]) for row in rows)
    axes[0].set_ylim(bottom=min(1.5 * least, -0.003))
  lines = {
    line.get_label(): line
    for ax in axes
    for line in ax.get_lines()
    if line.get_label() in names
  }
  axes[-1].legend(
    [lines[name] for name in names], names,
    fontsize=8, frameon=False, loc='center left', bbox_to_anchor=(1.0, 0.5),
  )  # fmt: skip
  figure.save(page, path)


def _lines(
  ax: Axes, rows: Sequence[dict], names: Sequence[str], value: str
) -> None:
  ticks = {row['length']: row['size'] for row in rows}
  for name in dict.fromkeys(row['rpe'] for row in rows):
    i = names.index(name)
    x = sorted({row['length'] for row in rows if row['rpe'] == name})
    seeds = [
      [float(r[value]) for r in rows if (r['rpe'], r['length']) == (name, n)]
      for n in x
    ]
    color = f'C{i % 10}'
    medians = [float(np.median(s)) for s in seeds]
    style = plot.STYLES[i // 10 % 4]
    ax.plot(x, medians, style, marker='o', ms=3.5, color=color, label=name)
    low, high = [min(s) for s in seeds], [max(s) for s in seeds]
    ax.fill_between(x, low, high, alpha=0.2, color=color, lw=0)
  ax.axvline(float(rows[0]['train_length']), color='0.8', lw=1, zorder=0)
  ax.set(xscale='log', xlabel='size (grey line: that of the training)')
  shown = sorted(ticks)
  ax.set_xticks(shown, [ticks[n] for n in shown], rotation=45)
  ax.minorticks_off()


def masses(
  path: str | os.PathLike,
  measured: Float[np.ndarray, 'N H n'],
  of_bias: Float[np.ndarray, 'N H n'],
) -> None:
  """Attention mass by distance, a panel per layer and a colour per head.

  measured: lines; of_bias: what the bias alone gives, dashed.
  """
  layers, heads, n = measured.shape
  page = Figure(figsize=(2 + 3.2 * layers, 3.8), layout='constrained')
  axes = page.subplots(1, layers, sharey=True, squeeze=False)[0]
  t = np.arange(n)
  for i, ax in enumerate(axes):
    figure.plain(ax)
    for h in range(heads):
      ax.plot(t, measured[i, h], color=f'C{h % 10}', lw=1.2)
      ax.plot(t, of_bias[i, h], '--', color=f'C{h % 10}', lw=0.9, alpha=0.7)
    ax.set(yscale='log', xlabel='distance', title=f'layer {i + 1}')
    ax.set_ylim(bottom=max(1e-7, ax.get_ylim()[0]))
  axes[0].set_ylabel('share of attention at this distance')
  axes[0].plot([], [], color='0.3', label='measured, per head')
  axes[0].plot([], [], '--', color='0.3', label='of the bias alone')
  axes[0].legend(fontsize=8, frameon=False)
  figure.save(page, path)


def places(
  path: str | os.PathLike,
  means: Mapping[str, Float[np.ndarray, ' t']],
  shape: Sequence[int],
  what: str,
) -> None:
  """Mean of targets by place of the smallest size, a map per size.

  Args:
    means: by size, in the order of the places; NaN where nothing was asked.
    shape: of the smallest size; maps of one or two axes are drawn.
    what: is mapped, with its unit.
  """
  maps = {
    name: x.reshape(-1, shape[-1]) if len(shape) > 1 else x[None]
    for name, x in means.items()
  }
  every = np.concatenate([x.ravel() for x in maps.values()])
  scale = float(np.nanmax(np.abs(every))) if np.isfinite(every).any() else 1.0
  page = Figure(figsize=(7, 0.6 + 1.7 * len(maps)), layout='constrained')
  axes = page.subplots(len(maps), 1, squeeze=False)[:, 0]
  for ax, (name, x) in zip(axes, maps.items(), strict=True):
    drawn = ax.imshow(
      x, cmap='RdBu_r', vmin=-scale, vmax=scale, aspect='auto',
      interpolation='nearest',
    )  # fmt: skip
    ax.set_title(f'in {name}', fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])
  page.colorbar(drawn, ax=list(axes), label=what, shrink=0.8)
  figure.save(page, path)
