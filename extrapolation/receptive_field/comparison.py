"""The fields of many runs on one axis, and how alike they rank them."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from extrapolation.receptive_field import figure


def save(path, records: list[dict], ranks: list[dict], s) -> None:
  """Encodings by their fields, all heads, and rank correlations, into a PNG."""
  rows = len({r['about']['rpe'] for r in records})
  page = Figure(figsize=(14, 3.6 + 0.3 * rows), layout='constrained')
  axes = page.subplots(1, 3, width_ratios=(1.25, 1, 1))
  page.suptitle(
    f'{len(records)} runs, {s.length:,} tokens, eps = {s.eps[0]}, trained at '
    f'{records[0]["about"]["train_length"]:,}', fontsize=11,
  )  # fmt: skip
  order = _by_encoding(axes[0], records, s.eps[0])
  _all_heads(axes[1], records, s.eps[0], order)
  _ranks(axes[2], ranks, s.eps)
  for ax in axes:
    figure.plain(ax)
  drawn = axes[0].get_legend_handles_labels()
  page.legend(*drawn, loc='outside lower left', ncols=6, fontsize=8)
  figure.save(page, path)


def _by_encoding(ax, records, e):
  """A row an encoding, least theoretical field first; medians of seeds."""

  def middle(name, k):
    found = [r['network'].get(k, {}).get(e, {}).get('n') for r in records
             if r['about']['rpe'] == name]  # fmt: skip
    found = [f for f in found if f is not None]
    return float(np.median(found)) if found else np.nan

  names = list(dict.fromkeys(r['about']['rpe'] for r in records))
  key = {k: (middle(k, 'trf'), middle(k, 'attention_mass')) for k in names}
  names.sort(key=lambda k: [np.inf if np.isnan(v) else v for v in key[k]])
  for i, k in enumerate(figure.LOOK):
    x = [middle(name, k) for name in names]
    look = dict(marker='|', ms=14, mew=2.2, zorder=1)
    if not k.startswith('trf'):
      look = dict(marker=figure.MARKERS[i % 7], ms=5.5, alpha=0.85, zorder=2)
    colour, label = figure.LOOK[k][0], figure.name_of(k)
    ax.plot(x, range(len(names)), ls='', color=colour, label=label, **look)
  ax.set_yticks(range(len(names)), names, fontsize=9)
  ax.set_ylim(len(names) + 0.3, -0.6)  # with room for what `trained` writes
  n = records[0]['about']['length']
  figure.log(ax, 'x', 1, n * 1.15)
  figure.trained(ax, records[0])
  ax.set_xlabel('n(eps), tokens')
  ax.set_title("the network's fields", loc='left', fontsize=10)
  return names


def _all_heads(ax, records, e, order):
  n = records[0]['about']['length']
  colours = matplotlib.colormaps['turbo'](np.linspace(0.05, 0.95, len(order)))
  for name, colour in zip(order, colours, strict=True):
    pairs = [
      (h['trf_below'][e], h['attention_mass'][e]['n'])
      for r in records if r['about']['rpe'] == name
      for h in r['heads'] if (h.get('trf_below') or {}).get(e)
    ]  # fmt: skip
    if pairs:
      ax.plot(*zip(*pairs, strict=True), 'o', color=colour, ms=5, mfc='none',
              label=name)  # fmt: skip
  ax.plot([1, n], [1, n], color='0.5', lw=0.9)
  for axis in 'xy':
    figure.log(ax, axis, 1, n * 1.3)
  ax.set(xlabel=f'TRF of the weights below {n:,}, tokens',
         ylabel='attention mass: n(eps), tokens')  # fmt: skip
  ax.set_title('every head of every run', loc='left', fontsize=10)
  ax.legend(fontsize=7.5, frameon=False, loc='upper left')


def _ranks(ax, ranks, eps):
  shown = [r for r in ranks if r['first'] in ('trf', 'trf_below')
           and r['rho'] is not None]  # fmt: skip
  names = list(dict.fromkeys(r['second'] for r in shown))[::-1]
  for i, e in enumerate(eps):
    for r in shown:
      if r['eps'] != e:
        continue
      at = names.index(r['second'])
      at += 0.16 * (len(eps) - 1 - 2 * i) / max(len(eps) - 1, 1)
      colour = f'C{i}'
      if r['low'] is not None:
        ax.plot([r['low'], r['high']], [at, at], color=colour, lw=1.6)
      ax.plot(r['rho'], at, figure.MARKERS[i % 7], color=colour, ms=5)
  for i, e in enumerate(eps):
    ax.plot([], [], figure.MARKERS[i % 7], color=f'C{i}', label=f'eps = {e}')
  ax.axvline(0, color='0.5', lw=0.9)
  ax.set_yticks(
    range(len(names)), [figure.name_of(k) for k in names], fontsize=8.5
  )
  ax.set(xlim=(-1.05, 1.05), xlabel="Spearman's rho over encodings")
  ax.set_title('does it rank encodings as the TRF does?', loc='left',
               fontsize=10)  # fmt: skip
  ax.legend(fontsize=8, frameon=False, loc='lower left')
