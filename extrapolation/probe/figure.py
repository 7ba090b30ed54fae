"""The cells of one run: a map, its two slices, and the reach by length."""

import os
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure
from extrapolation.probe import text
from extrapolation.runs.probe_table import half

SLICES = 7  # lines of a slice
WRITTEN = 240  # cells, up to which each has its number in it


def one(
  path: str | os.PathLike, cells: Sequence[dict], reaches: Sequence[dict]
) -> None:
  """Map, slices and reach of one run, into a PNG.

  Args:
    cells: rows of the table of cells, of one run.
    reaches: rows of the table of reaches, of that run.
  """
  first = cells[0]
  page = Figure(figsize=(16, 9), layout='constrained')
  page.suptitle(
    f'{first["encoding"]}, seed {first["seed"]}: probe {first["probe"]}, '
    f'{text.conditions(first)}, trained at {first["train_length"]:,} (red)',
    fontsize=11,
  )
  axes = page.subplots(2, 3, width_ratios=(1.15, 1, 1))
  _map(page, axes[0, 0], cells, 'accuracy', '.2f')
  title(axes[0, 0], 'accuracy')
  _map(page, axes[1, 0], cells, 'margin', '.1f')
  title(axes[1, 0], 'margin: the answer over the best other one (nats)')
  _slices(axes[0, 1], cells, 'accuracy', 'distance', 'length')
  title(axes[0, 1], 'fixed length, moving needle; 95 % intervals')
  _slices(axes[0, 2], cells, 'accuracy', 'length', 'distance')
  title(axes[0, 2], 'fixed needle, growing length')
  _slices(axes[1, 1], cells, 'margin', 'distance', 'length')
  title(axes[1, 1], 'fixed length, moving needle')
  _reach(axes[1, 2], reaches)
  for ax in axes[:, 1:].flat:
    figure.plain(ax)
  figure.save(page, path, dpi=100)


def title(ax: Axes, words: str) -> None:
  ax.set_title(words, loc='left', fontsize=10)


def _map(
  page: Figure, ax: Axes, cells: Sequence[dict], value: str, form: str
) -> None:
  """A value by distance and length; cells that do not exist stay empty."""
  lengths, distances = (_values(cells, k) for k in ('length', 'distance'))
  z = np.full((len(distances), len(lengths)), np.nan)
  for row in cells:
    at = distances.index(row['distance']), lengths.index(row['length'])
    z[at] = row[value]
  most = 1.0 if value == 'accuracy' else float(np.nanmax(np.abs(z)))
  look: dict[str, Any] = dict(vmin=0, vmax=1, cmap='viridis')
  if value != 'accuracy':  # of either sign
    look = dict(vmin=-most, vmax=most, cmap='coolwarm_r')
  image = ax.imshow(z, aspect='auto', origin='lower', **look)
  for (i, j), x in np.ndenumerate(z):
    if np.isfinite(x) and z.size <= WRITTEN:
      red, green, blue, _ = image.cmap(image.norm(x))
      dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
      ax.text(
        j, i, format(x, form), ha='center', va='center', fontsize=7,
        color='w' if dark else 'k',
      )  # fmt: skip
  T = cells[0]['train_length']
  labels = [f'{n:,}' for n in lengths]
  ax.set_xticks(range(len(lengths)), labels, rotation=45 * (len(lengths) > 9))
  ax.set_yticks(range(len(distances)), [f'{d:,}' for d in distances])
  ax.tick_params(labelsize=8)
  # Between what training has shown and what it has not.
  if 0 < (seen := sum(n <= T for n in lengths)) < len(lengths):
    ax.axvline(seen - 0.5, color='r', lw=1.2, ls=':')
  if 0 < (seen := sum(d < T for d in distances)) < len(distances):
    ax.axhline(seen - 0.5, color='r', lw=1.2, ls=':')
  ax.set(xlabel='length (tokens)', ylabel='distance (tokens)')
  page.colorbar(image, ax=ax, pad=0.02)


def _slices(
  ax: Axes, cells: Sequence[dict], value: str, over: str, fixed: str
) -> None:
  """A value over lengths or distances, a line for each of the other."""
  each = _values(cells, fixed)
  chosen = np.linspace(0, len(each) - 1, min(SLICES, len(each)))
  few = [each[round(float(i))] for i in chosen]
  for at, color in zip(few, _colours(len(few)), strict=True):
    rows = [row for row in cells if row[fixed] == at]
    x, y = ([row[k] for row in rows] for k in (over, value))
    ax.plot(x, y, 'o-', ms=3.5, lw=1.3, color=color, label=f'{at:,}')
    if value == 'accuracy':
      low, high = ([row[k] for row in rows] for k in ('low', 'high'))
      ax.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
  ax.axvline(cells[0]['train_length'], color='r', lw=1, ls=':')
  what = 'distance of the needle' if over == 'distance' else over
  ax.set(xscale='log', xlabel=f'{what} (tokens)', ylabel=value)
  ax.xaxis.set_major_formatter('{x:,g}')
  ax.xaxis.set_minor_formatter('')
  ax.legend(title=fixed, fontsize=8, title_fontsize=8, frameon=False)
  chance = cells[0]['chance']
  levels = {'a guess': chance, 'half': half(chance)}
  if value == 'accuracy':
    ax.set_ylim(-0.03, 1.03)
  else:
    ax.set_ylabel('margin (nats)')
    levels = {'': 0.0}
  for name, y in levels.items():
    ax.axhline(y, color='0.4', lw=0.9, ls=':')
    ax.annotate(
      name, (1, y), xycoords=('axes fraction', 'data'), ha='right',
      va='bottom', fontsize=8, color='0.4',
    )  # fmt: skip


def _reach(ax: Axes, reaches: Sequence[dict]) -> None:
  n = [row['length'] for row in reaches]
  judged = [row for row in reaches if _number(row['predicted'])]
  if judged:
    x = [row['length'] for row in judged]
    low, high = (
      [row[k] for row in judged] for k in ('predicted_low', 'predicted_high')
    )
    ax.fill_between(x, low, high, color='C1', alpha=0.2, lw=0)
    ax.plot(x, [r['predicted'] for r in judged], 's--', color='C1', ms=4,
            label='predicted, with its interval')  # fmt: skip
  y = np.array([row['reach'] for row in reaches])
  ends = [[row[k] for row in reaches] for k in ('low', 'high')]
  # A resolved interval holds the value; one of a gap may not.
  bars = np.maximum([y - ends[0], ends[1] - y], 0)
  ax.errorbar(n, y, bars, fmt='o-', color='C0', ms=5, capsize=3,
              label='measured')  # fmt: skip
  farthest = [row['farthest'] for row in reaches]
  ax.plot(n, farthest, ':', marker='_', color='0.4', lw=1,
          label='the farthest there is')  # fmt: skip
  if all(_number(row.get('in_sight')) for row in reaches):
    seen = [row['in_sight'] for row in reaches]
    ax.plot(n, seen, '--', marker='_', color='C2', lw=1,
            label='what a head sees')  # fmt: skip
  reach_axis(ax, reaches)
  ax.legend(fontsize=8, frameon=False)
  why = '' if judged else f'\nprediction {reaches[0]["why"]}'
  title(ax, f'reach at 50 %{why}')


def reach_axis(ax: Axes, reaches: Sequence[dict]) -> None:
  """Lengths and reaches, both by ratio, with room for a reach of 0."""
  lengths = _values(reaches, 'length')
  ax.axvline(reaches[0]['train_length'], color='r', lw=1, ls=':')
  ax.set(xscale='log', xlabel='length (tokens)', ylabel='reach (tokens)')
  ax.set_xticks(
    lengths, [f'{n:,}' for n in lengths], rotation=45 * (len(lengths) > 7)
  )
  ax.minorticks_off()
  tokens_axis(ax, 'y')


def tokens_axis(ax: Axes, axis: str) -> None:
  """Distances by ratio, and 0."""
  ax.set(**{f'{axis}scale': 'symlog'})
  part = ax.yaxis if axis == 'y' else ax.xaxis
  locator = matplotlib.ticker.SymmetricalLogLocator
  part.set_major_locator(locator(base=10, linthresh=1))
  part.set_major_formatter('{x:,.0f}')
  _, most = ax.get_ylim() if axis == 'y' else ax.get_xlim()
  ax.set(**{f'{axis}lim': (-0.3, 1.5 * most)})


def _values(rows: Sequence[dict], key: str) -> list[int]:
  return sorted({row[key] for row in rows})


def _number(value: object) -> bool:
  return isinstance(value, int | float)


def _colours(count: int) -> np.ndarray:
  viridis = matplotlib.colormaps['viridis']
  return viridis(np.linspace(0, 0.9, count))
