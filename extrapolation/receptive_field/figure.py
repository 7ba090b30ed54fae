"""The fields of one run on one axis."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

matplotlib.use('Agg')

# Theory in greys and dashed; what is measured in colours.
LOOK = dict(
  trf=('0.35', '--'), trf_composed=('0.65', '--'),
  attention_mass=('C0', '-'), gradient=('C3', '-'), rollout=('C2', '-'),
  perturbation_tv=('C1', '-'), perturbation_kl=('C5', '-'),
  composition=('C4', '-'), composition_share=('C6', '-'),
  truncation=('C8', '-'),
)  # fmt: skip
NAMES = dict(
  trf='TRF, mean head', trf_composed='TRF, composed',
  attention_mass='attention mass', perturbation_tv='perturbation (TV)',
  perturbation_kl='perturbation (KL)', composition='composition, 1/2',
  composition_share='composition, share', truncation='truncation',
)  # fmt: skip
NAMES['attention_mass by head'] = 'attention mass, by head'
MARKERS = 'osD^v<>'
FLOOR = 1e-4  # of a share; what is smaller is not drawn


def name_of(estimator: str) -> str:
  return NAMES.get(estimator, estimator)


def one(path, record: dict, weights: dict) -> None:
  """The curves, fields, heads and truncation of one run, into a PNG."""
  about = record['about']
  figure = Figure(figsize=(12, 8.4), layout='constrained')
  figure.suptitle(
    f'{about["rpe"]}, seed {about["seed"]}: {about["windows"]:,} windows of '
    f'{about["length"]:,} tokens, trained at {about["train_length"]:,}',
    fontsize=11,
  )
  axes = figure.subplots(2, 2)
  _curves(axes[0, 0], record, weights)
  _forest(axes[0, 1], record)
  _heads(axes[1, 0], record)
  _truncation(axes[1, 1], record)
  for ax in axes.flat:
    plain(ax)
  save(figure, path)


def plain(ax):
  ax.grid(alpha=0.25, lw=0.5)
  ax.spines[['top', 'right']].set_visible(False)


def save(figure, path):
  temporary = path.with_name(f'.{path.name}')
  figure.savefig(temporary, dpi=110, format='png')
  temporary.replace(path)


def log(ax, axis: str, low, high):
  """A log axis of whole numbers of tokens."""
  # A little room, so that a marker at the end is whole.
  ax.set(**{f'{axis}scale': 'log', f'{axis}lim': (0.9 * low, high)})
  part = getattr(ax, f'{axis}axis')
  part.set_major_locator(matplotlib.ticker.LogLocator(base=10))
  part.set_major_formatter('{x:,.0f}')
  part.set_minor_formatter('')


def trained(ax, record, axis='x'):
  T, n = record['about']['train_length'], record['about']['length']
  for at, text in ((T, 'trained'), (n, 'length')):
    (ax.axvline if axis == 'x' else ax.axhline)(at, color='0.5', lw=0.9, ls=':')
    if axis == 'x':
      ax.annotate(
        f'{text} ', (at, 0), xycoords=('data', 'axes fraction'), fontsize=8,
        ha='right', va='bottom', color='0.4', rotation=90,
      )  # fmt: skip


def _curves(ax, record, weights):
  n = record['about']['length']
  for name, w in weights.items():
    beyond = np.append(np.cumsum(w[::-1])[::-1], 0)[1:]
    colour, line = LOOK[name]
    y = np.where(beyond > FLOOR, beyond, np.nan)
    ax.plot(np.arange(1, n + 1), y, line, color=colour, lw=1.5,
            label=name_of(name))  # fmt: skip
  for e in record['settings']['eps']:
    ax.axhline(float(e), color='0.5', lw=0.8, ls=':')
  ax.set(yscale='log', ylim=(FLOOR, 1.3), xlabel='nearest tokens kept',
         ylabel='share beyond')  # fmt: skip
  ax.set_title('what lies further away; a field is where it is eps', loc='left',
               fontsize=10)  # fmt: skip
  log(ax, 'x', 1, n * 1.15)
  trained(ax, record)
  ax.legend(fontsize=7.5, edgecolor='none', framealpha=0.85, loc='lower left')


def _forest(ax, record):
  names = list(record['network'])[::-1]
  eps = record['settings']['eps']
  for i, e in enumerate(eps):
    for y, name in enumerate(names):
      found = record['network'][name].get(e, {})
      if not found.get('n'):
        continue
      at = y + 0.16 * (len(eps) - 1 - 2 * i) / max(len(eps) - 1, 1)
      colour = LOOK[name][0]
      ax.plot([found['low'], found['high']], [at, at], color=colour, lw=1.6)
      ax.plot(found['n'], at, MARKERS[i % 7], color=colour, ms=5)
  for i, e in enumerate(eps):
    ax.plot([], [], MARKERS[i % 7], color='0.3', ms=5, label=f'eps = {e}')
  ax.set_yticks(range(len(names)), [name_of(k) for k in names], fontsize=8.5)
  log(ax, 'x', 1, record['about']['length'] * 1.15)
  trained(ax, record)
  ax.set(xlabel='n(eps), tokens', ylim=(-1.7, len(names) - 0.4))
  ax.set_title("the network's fields, 95 % intervals", loc='left', fontsize=10)
  ax.legend(fontsize=8, frameon=False, loc='upper left')


def _heads(ax, record):
  """Attention mass against theory, head by head; against its index if none."""
  n, eps, heads = (record['about']['length'], record['settings']['eps'],
                   record['heads'])  # fmt: skip
  known = all(h.get('trf_below') for h in heads)
  layers = max(h['layer'] for h in heads)
  for k, h in enumerate(heads):
    colour = matplotlib.colormaps['viridis'](
      0.9 * (h['layer'] - 1) / max(layers - 1, 1)
    )
    for i, e in enumerate(eps):
      found = h['attention_mass'][e]
      x = h['trf_below'][e] if known else k + 1
      ax.plot([x, x], [found['low'], found['high']], color=colour, lw=1.2)
      ax.plot(x, found['n'], MARKERS[i % 7], color=colour, ms=5, mfc='none')
  for layer in (1, layers):
    colour = matplotlib.colormaps['viridis'](
      0.9 * (layer - 1) / max(layers - 1, 1)
    )
    ax.plot([], [], 'o', color=colour, mfc='none', label=f'layer {layer}')
    if layers == 1:
      break
  log(ax, 'y', 1, n * 1.3)
  ax.set_ylabel('attention mass: n(eps), tokens')
  if known:
    ax.plot([1, n], [1, n], color='0.5', lw=0.9)
    log(ax, 'x', 1, n * 1.3)
    ax.set_xlabel(f'TRF of the weights below {n:,}, tokens')
  else:
    ax.set_xlabel('head, layer by layer (no function of distance, no TRF)')
  ax.set_title('every head', loc='left', fontsize=10)
  ax.legend(fontsize=8, frameon=False, loc='lower right')


def _truncation(ax, record):
  curve = record['truncation']
  x = [c['context'] for c in curve]
  ax.plot(x, [c['excess'] for c in curve], '.-', color=LOOK['truncation'][0])
  ax.fill_between(x, [c['low'] for c in curve], [c['high'] for c in curve],
                  color=LOOK['truncation'][0], alpha=0.25, lw=0)  # fmt: skip
  nats = record['settings']['nats']
  ax.axhspan(-nats, nats, color='0.9', lw=0, zorder=0)
  ax.set_yscale('symlog', linthresh=max(nats, 1e-3))
  log(ax, 'x', 1, record['about']['length'] * 1.15)
  trained(ax, record)
  ax.set(xlabel='context kept, tokens', ylabel='loss above full context (nats)')
  ax.set_title(f'truncation; grey: within {nats:g} nats', loc='left',
               fontsize=10)  # fmt: skip
