"""The reaches of many runs in one figure, and how theory ranks them."""

import os
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure
from extrapolation.probe import text
from extrapolation.probe.figure import reach_axis, title, tokens_axis

STYLES = ('-', '--', '-.', ':')


def save(
  path: str | os.PathLike,
  reaches: Sequence[dict],
  ranks: Sequence[dict],
  runs: int,
) -> None:
  """Reach by length, against its prediction, and rank correlations.

  Args:
    reaches: rows of the tables of all runs.
    ranks: rows of `ranks.table`.
    runs: how many there are.
  """
  first = reaches[0]
  names = list(dict.fromkeys(row['encoding'] for row in reaches))
  page = Figure(figsize=(15, 4.6), layout='constrained')
  axes = page.subplots(1, 3, width_ratios=(1.2, 1.2, 0.8))
  page.suptitle(
    f'{runs} runs, probe {first["probe"]}, {text.conditions(first)}, trained '
    f'at {first["train_length"]:,}',
    fontsize=11,
  )
  looks = {name: look(i) for i, name in enumerate(names)}
  by_length(axes[0], reaches, looks)
  _against(axes[1], reaches, looks)
  _ranks(axes[2], ranks)
  for ax in axes:
    figure.plain(ax)
  drawn = axes[0].get_legend_handles_labels()
  page.legend(*drawn, loc='outside lower left', ncols=7, fontsize=8)
  figure.save(page, path, dpi=110)


def lengths(path: str | os.PathLike, reaches: Sequence[dict]) -> None:
  """Reach by length alone, a line per encoding."""
  page = Figure(figsize=(7, 4.6), layout='constrained')
  ax = page.subplots()
  names = list(dict.fromkeys(row['encoding'] for row in reaches))
  by_length(ax, reaches, {name: look(i) for i, name in enumerate(names)})
  figure.plain(ax)
  page.legend(
    *ax.get_legend_handles_labels(), loc='outside right upper', fontsize=8,
    frameon=False,
  )  # fmt: skip
  figure.save(page, path)


def look(i: int) -> dict[str, str]:
  """Colour and line of the i-th encoding, as `output.plot` has them."""
  return dict(color=f'C{i % 10}', ls=STYLES[i // 10 % 4])


def by_length(
  ax: Axes, reaches: Sequence[dict], looks: dict[str, dict]
) -> None:
  """A line per encoding: median of its seeds, and their least and largest."""
  for i, (name, how) in enumerate(looks.items()):
    own = [row for row in reaches if row['encoding'] == name]
    n = sorted({row['length'] for row in own})
    seeds = [[r['reach'] for r in own if r['length'] == k] for k in n]
    middle = np.array([float(np.median(s)) for s in seeds])
    ends = [middle - [min(s) for s in seeds], [max(s) for s in seeds] - middle]
    # Side by side, so that equal ones are all seen.
    x = np.array(n) * 1.03 ** (i - (len(looks) - 1) / 2)
    ax.errorbar(x, middle, ends, marker='o', ms=4, lw=1.3, elinewidth=1,
                label=name, **how)  # fmt: skip
  farthest = {row['length']: row['farthest'] for row in reaches}
  n = sorted(farthest)
  ax.plot(n, [farthest[k] for k in n], ':', marker='_', color='0.4', lw=1,
          label='the farthest there is')  # fmt: skip
  reach_axis(ax, reaches)
  title(ax, 'reach at 50 %, median and range of seeds')


def _against(ax: Axes, reaches: Sequence[dict], looks: dict[str, dict]) -> None:
  """Measured against predicted, a point per run and length."""
  T = reaches[0]['train_length']
  beyond = sorted({r['length'] for r in reaches if r['length'] > T})
  shown = beyond or sorted({r['length'] for r in reaches})
  sizes = dict(zip(shown, np.linspace(3.5, 9, len(shown)), strict=True))
  most = 1
  for row in reaches:
    if row['length'] not in sizes or not isinstance(row['predicted'], int):
      continue
    color = looks[row['encoding']]['color']
    x, y = row['predicted'], row['reach']
    ax.plot([row['predicted_low'], row['predicted_high']], [y, y],
            color=color, lw=0.7, alpha=0.5)  # fmt: skip
    ax.plot([x, x], [row['low'], row['high']], color=color, lw=0.7, alpha=0.5)
    ax.plot(x, y, 'o', ms=sizes[row['length']], color=color, mfc='none')
    most = max(most, x, y)
  ax.plot([0, most], [0, most], color='0.5', lw=0.9)
  for axis in 'xy':
    tokens_axis(ax, axis)
  ax.set(xlabel='predicted reach (tokens)', ylabel='measured reach (tokens)')
  where = 'beyond the training length' if beyond else 'all lengths'
  title(ax, f'every run, {where}; larger is longer')


def _ranks(ax: Axes, ranks: Sequence[dict]) -> None:
  lengths = [row['length'] for row in ranks]
  for i, row in enumerate(ranks):
    if row['rho'] is None:
      ax.annotate('undefined', (0, i), ha='center', va='center', fontsize=8,
                  color='0.5')  # fmt: skip
      continue
    if row['low'] is not None:
      ax.plot([row['low'], row['high']], [i, i], color='C0', lw=1.6)
    ax.plot(row['rho'], i, 'o', color='C0', ms=5)
  ax.axvline(0, color='0.5', lw=0.9)
  ax.set_yticks(range(len(lengths)), [f'{n:,}' for n in lengths], fontsize=8.5)
  ax.set(
    xlim=(-1.05, 1.05), ylim=(-0.5, len(lengths) - 0.5), ylabel='length',
    xlabel="Spearman's rho over encodings",
  )  # fmt: skip
  ax.xaxis.set_major_locator(matplotlib.ticker.MultipleLocator(0.5))
  title(ax, 'measured and predicted reach')
