"""The fields of one run on one axis."""

import os

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import figure
from extrapolation.receptive_field.record import measured_on, unit

# Theory in greys and dashed; what is measured in colours.
LOOK = dict(
  trf=('0.35', '--'), trf_composed=('0.65', '--'),
  attention_mass=('C0', '-'), gradient=('C3', '-'), rollout=('C2', '-'),
  perturbation_tv=('C1', '-'), perturbation_kl=('C5', '-'),
  composition=('C4', '-'), composition_share=('C6', '-'),
  truncation=('C8', '-'),
)  # fmt: skip
NAMES = {
  'trf': 'TRF, mean head',
  'trf_composed': 'TRF, composed',
  'attention_mass': 'attention mass',
  'attention_mass by head': 'attention mass, per head',
  'perturbation_tv': 'perturbation (TV)',
  'perturbation_kl': 'perturbation (KL)',
  'composition': 'composition, 1/2',
  'composition_share': 'composition, share',
}
MARKERS = 'osD^v<>'
FLOOR = 1e-4  # of a share; what is smaller is not drawn


def name_of(estimator: str) -> str:
  return NAMES.get(estimator, estimator)


def one(
  path: str | os.PathLike, record: dict, weights: dict[str, np.ndarray]
) -> None:
  """The curves, fields, heads and truncation of one run, into a PNG."""
  run = record['about']
  page = Figure(figsize=(12, 8.4), layout='constrained')
  page.suptitle(
    f'{run["rpe"]}, seed {run["seed"]}: {measured_on(run)}', fontsize=11
  )
  axes = page.subplots(2, 2)
  _curves(axes[0, 0], record, weights)
  _forest(axes[0, 1], record)
  _heads(axes[1, 0], record)
  _truncation(axes[1, 1], record)
  for ax in axes.flat:
    figure.plain(ax)
  figure.save(page, path, dpi=110)


def title(ax: Axes, text: str) -> None:
  ax.set_title(text, loc='left', fontsize=10)


def log_axis(ax: Axes, axis: str, low: int, high: float) -> None:
  """A log axis of whole numbers of tokens."""
  # A little room, so that a marker at the end is whole.
  ax.set(**{f'{axis}scale': 'log', f'{axis}lim': (0.9 * low, high)})
  part = ax.xaxis if axis == 'x' else ax.yaxis
  part.set_major_locator(matplotlib.ticker.LogLocator(base=10))
  part.set_major_formatter('{x:,.0f}')
  part.set_minor_formatter('')


def mark_lengths(ax: Axes, record: dict) -> None:
  """The training length and the length of the windows, on the x axis."""
  run = record['about']
  names = ('training size', 'size') if 'size' in run else (
    'training length', 'window')  # fmt: skip
  for at, text in zip((run['train_length'], run['length']), names, strict=True):
    ax.axvline(at, color='0.5', lw=0.9, ls=':')
    ax.annotate(
      f'{text} ', (at, 0), xycoords=('data', 'axes fraction'), fontsize=8,
      ha='right', va='bottom', color='0.4', rotation=90,
    )  # fmt: skip


def axis_label(record: dict) -> str:
  """Of the axis of all fields."""
  return f'n(eps) ({unit(record["about"])})'


def offset(i: int, count: int) -> float:
  """Where the i-th of several markers goes in a row of height 1."""
  return 0.16 * (count - 1 - 2 * i) / max(count - 1, 1)


def _curves(ax: Axes, record: dict, weights: dict[str, np.ndarray]) -> None:
  n = record['about']['length']
  for name, w in weights.items():
    beyond = np.append(np.cumsum(w[::-1])[::-1], 0)[1:]
    colour, line = LOOK[name]
    y = np.where(beyond > FLOOR, beyond, np.nan)
    x = np.arange(1, n + 1)
    ax.plot(x, y, line, color=colour, lw=1.5, label=name_of(name))
  for e in record['settings']['eps']:
    ax.axhline(float(e), color='0.5', lw=0.8, ls=':')
  ax.set(yscale='log', ylim=(FLOOR, 1.3))
  kept = f'nearest {unit(record["about"])} kept'
  ax.set(xlabel=kept, ylabel='share beyond')
  title(ax, 'share of weight further away; n(eps) is where it is eps')
  log_axis(ax, 'x', 1, n * 1.15)
  mark_lengths(ax, record)
  ax.legend(fontsize=7.5, edgecolor='none', framealpha=0.85, loc='lower left')


def _forest(ax: Axes, record: dict) -> None:
  names = list(record['network'])[::-1]
  eps = record['settings']['eps']
  for i, e in enumerate(eps):
    for y, name in enumerate(names):
      field = record['network'][name].get(e, {})
      if not field.get('n'):
        continue
      at, colour = y + offset(i, len(eps)), LOOK[name][0]
      ax.plot([field['low'], field['high']], [at, at], color=colour, lw=1.6)
      ax.plot(field['n'], at, MARKERS[i % 7], color=colour, ms=5)
  for i, e in enumerate(eps):
    ax.plot([], [], MARKERS[i % 7], color='0.3', ms=5, label=f'eps = {e}')
  ax.set_yticks(range(len(names)), [name_of(k) for k in names], fontsize=8.5)
  log_axis(ax, 'x', 1, record['about']['length'] * 1.15)
  mark_lengths(ax, record)
  ax.set(xlabel=axis_label(record), ylim=(-2.4, len(names) - 0.4))
  title(ax, "the network's receptive fields, 95 % intervals")
  ax.legend(fontsize=8, frameon=False, loc='upper left')


def _heads(ax: Axes, record: dict) -> None:
  """Attention mass per head against theory, or against its index if none."""
  n, heads = record['about']['length'], record['heads']
  of = unit(record['about'])
  known = all(h.get('trf_below') for h in heads)
  layers = max(h['layer'] for h in heads)
  viridis = matplotlib.colormaps['viridis']
  colours = viridis(np.linspace(0, 0.9, layers) if layers > 1 else [0.0])
  for k, h in enumerate(heads):
    colour = colours[h['layer'] - 1]
    for i, e in enumerate(record['settings']['eps']):
      field = h['attention_mass'][e]
      x = h['trf_below'][e] if known else k + 1
      ax.plot([x, x], [field['low'], field['high']], color=colour, lw=1.2)
      ax.plot(x, field['n'], MARKERS[i % 7], color=colour, ms=5, mfc='none')
  for layer in sorted({1, layers}):
    look = dict(color=colours[layer - 1], mfc='none')
    ax.plot([], [], 'o', label=f'layer {layer}', **look)
  log_axis(ax, 'y', 1, n * 1.3)
  ax.set_ylabel(f'n(eps) of attention mass ({of})')
  if known:
    ax.plot([1, n], [1, n], color='0.5', lw=0.9)
    log_axis(ax, 'x', 1, n * 1.3)
    ax.set_xlabel(f'TRF over distances below {n:,} ({of})')
  else:
    ax.set_xlabel('head, layer by layer (no function of distance, no TRF)')
  title(ax, 'every head')
  ax.legend(fontsize=8, frameon=False, loc='lower right')


def _truncation(ax: Axes, record: dict) -> None:
  curve, colour = record['truncation'], LOOK['truncation'][0]
  x, excess, low, high = (
    [c[k] for c in curve] for k in ('context', 'excess', 'low', 'high')
  )
  ax.plot(x, excess, '.-', color=colour)
  ax.fill_between(x, low, high, color=colour, alpha=0.25, lw=0)
  nats = record['settings']['nats']
  ax.axhspan(-nats, nats, color='0.9', lw=0, zorder=0)
  ax.set_yscale('symlog', linthresh=max(nats, 1e-3))
  log_axis(ax, 'x', 1, record['about']['length'] * 1.15)
  mark_lengths(ax, record)
  ax.set(xlabel=f'context kept ({unit(record["about"])})')
  ax.set_ylabel('loss above that of the full context (nats)')
  title(ax, f'context truncation; grey: within {nats:g} nats')
