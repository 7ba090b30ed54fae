"""The fields of many runs on one axis, and how alike they rank them."""

import os
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure as output
from extrapolation.receptive_field import figure
from extrapolation.receptive_field.record import unit


def save(
  path: str | os.PathLike, records: Sequence[dict], ranks: Sequence[dict]
) -> None:
  """Encodings by their fields, all heads, and rank correlations, into a PNG."""
  run, settings = records[0]['about'], records[0]['settings']
  eps = settings['eps']
  rows = len({r['about']['rpe'] for r in records})
  page = Figure(figsize=(14, 3.6 + 0.3 * rows), layout='constrained')
  axes = page.subplots(1, 3, width_ratios=(1.25, 1, 1))
  page.suptitle(
    f'{len(records)} runs, {settings["tokens"]:,} '
    f'{"places" if "size" in run else "tokens"}, eps = {eps[0]}, '
    f'trained at {run.get("train_size", run["train_length"])}',
    fontsize=11,
  )
  order = _by_encoding(axes[0], records, eps[0])
  _all_heads(axes[1], records, eps[0], order)
  _ranks(axes[2], ranks, eps)
  for ax in axes:
    output.plain(ax)
  drawn = axes[0].get_legend_handles_labels()
  page.legend(*drawn, loc='outside lower left', ncols=6, fontsize=8)
  output.save(page, path, dpi=110)


def _by_encoding(ax: Axes, records: Sequence[dict], e: str) -> list[str]:
  """A row per encoding, least theoretical field first; medians of seeds."""

  def median(name: str, k: str) -> float:
    seeds = [
      r['network'].get(k, {}).get(e, {}).get('n')
      for r in records
      if r['about']['rpe'] == name
    ]
    seeds = [n for n in seeds if n is not None]
    return float(np.median(seeds)) if seeds else np.nan

  names = list(dict.fromkeys(r['about']['rpe'] for r in records))
  keys = {k: (median(k, 'trf'), median(k, 'attention_mass')) for k in names}
  names.sort(key=lambda k: [np.inf if np.isnan(v) else v for v in keys[k]])
  there = {k for r in records for k in r['network']}
  for i, k in enumerate(figure.LOOK):
    if k not in there:
      continue
    x = [median(name, k) for name in names]
    look: dict[str, Any] = dict(marker='|', ms=14, mew=2.2, zorder=1)
    if not k.startswith('trf'):
      look = dict(marker=figure.MARKERS[i % 7], ms=5.5, alpha=0.85, zorder=2)
    look |= dict(color=figure.LOOK[k][0], label=figure.name_of(k))
    ax.plot(x, range(len(names)), ls='', **look)
  ax.set_yticks(range(len(names)), names, fontsize=9)
  ax.set_ylim(len(names) + 0.6, -0.6)  # with room for the marked lengths
  figure.log_axis(ax, 'x', 1, records[0]['about']['length'] * 1.15)
  figure.mark_lengths(ax, records[0])
  ax.set_xlabel(figure.axis_label(records[0]))
  figure.title(ax, "the network's receptive fields")
  return names


def _all_heads(
  ax: Axes, records: Sequence[dict], e: str, order: Sequence[str]
) -> None:
  n, of = records[0]['about']['length'], unit(records[0]['about'])
  colours = matplotlib.colormaps['turbo'](np.linspace(0.05, 0.95, len(order)))
  for name, colour in zip(order, colours, strict=True):
    pairs = [
      (h['trf_below'][e], h['attention_mass'][e]['n'])
      for r in records
      if r['about']['rpe'] == name
      for h in r['heads']
      if (h.get('trf_below') or {}).get(e)
    ]
    if pairs:
      x, y = zip(*pairs, strict=True)
      ax.plot(x, y, 'o', color=colour, ms=5, mfc='none', label=name)
  ax.plot([1, n], [1, n], color='0.5', lw=0.9)
  for axis in 'xy':
    figure.log_axis(ax, axis, 1, n * 1.3)
  ax.set_xlabel(f'TRF over distances below {n:,} ({of})')
  ax.set_ylabel(f'n(eps) of attention mass ({of})')
  figure.title(ax, 'every head of every run')
  ax.legend(fontsize=7.5, frameon=False, loc='upper left')


def _ranks(ax: Axes, ranks: Sequence[dict], eps: Sequence[str]) -> None:
  shown = [
    r
    for r in ranks
    if r['first'] in ('trf', 'trf_below') and r['rho'] is not None
  ]
  names = list(dict.fromkeys(r['second'] for r in shown))[::-1]
  for i, e in enumerate(eps):
    look = dict(marker=figure.MARKERS[i % 7], color=f'C{i}')
    for r in (r for r in shown if r['eps'] == e):
      at = names.index(r['second']) + figure.offset(i, len(eps))
      if r['low'] is not None:
        ax.plot([r['low'], r['high']], [at, at], color=f'C{i}', lw=1.6)
      ax.plot(r['rho'], at, ms=5, **look)
    ax.plot([], [], ls='', label=f'eps = {e}', **look)
  ax.axvline(0, color='0.5', lw=0.9)
  labels = [figure.name_of(k) for k in names]
  ax.set_yticks(range(len(names)), labels, fontsize=8.5)
  ax.set(xlim=(-1.05, 1.05), xlabel="Spearman's rho over encodings")
  figure.title(ax, 'rho with the TRF, 95 % intervals')
  ax.legend(fontsize=8, frameon=False, loc='lower left')
