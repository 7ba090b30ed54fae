"""Fields on one axis: of one run, and of many."""

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
    _plain(ax)
  _save(figure, path)


def _plain(ax):
  ax.grid(alpha=0.25, lw=0.5)
  ax.spines[['top', 'right']].set_visible(False)


def _save(figure, path):
  temporary = path.with_name(f'.{path.name}')
  figure.savefig(temporary, dpi=110, format='png')
  temporary.replace(path)


def _log(ax, axis: str, low, high):
  """A log axis of whole numbers of tokens."""
  ax.set(**{f'{axis}scale': 'log', f'{axis}lim': (low, high)})
  part = getattr(ax, f'{axis}axis')
  part.set_major_locator(matplotlib.ticker.LogLocator(base=10))
  part.set_major_formatter('{x:,.0f}')
  part.set_minor_formatter('')


def _trained(ax, record, axis='x'):
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
  _log(ax, 'x', 1, n * 1.15)
  _trained(ax, record)
  ax.legend(fontsize=7.5, frameon=False, loc='lower left')


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
  _log(ax, 'x', 1, record['about']['length'] * 1.15)
  _trained(ax, record)
  ax.set(xlabel='n(eps), tokens', ylim=(-0.6, len(names) - 0.4))
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
  _log(ax, 'y', 1, n * 1.3)
  ax.set_ylabel('attention mass: n(eps), tokens')
  if known:
    ax.plot([1, n], [1, n], color='0.5', lw=0.9)
    _log(ax, 'x', 1, n * 1.3)
    ax.set_xlabel(f'TRF of the weights below {n:,}, tokens')
  else:
    ax.set_xlabel('head, layer by layer (no function of distance, no TRF)')
  ax.set_title('every head', loc='left', fontsize=10)
  ax.legend(fontsize=8, frameon=False, loc='lower right')


def _truncation(ax, record):
  curve = record['truncation'][:-1]
  x = [c['context'] for c in curve]
  ax.plot(x, [c['excess'] for c in curve], '.-', color=LOOK['truncation'][0])
  ax.fill_between(x, [c['low'] for c in curve], [c['high'] for c in curve],
                  color=LOOK['truncation'][0], alpha=0.25, lw=0)  # fmt: skip
  nats = record['settings']['nats']
  ax.axhspan(-nats, nats, color='0.85', lw=0)
  ax.set_yscale('symlog', linthresh=max(nats, 1e-3))
  _log(ax, 'x', 1, record['about']['length'] * 1.15)
  _trained(ax, record)
  ax.set(xlabel='context kept, tokens', ylabel='loss above full context (nats)')
  ax.set_title(f'truncation; grey: within {nats:g} nats', loc='left',
               fontsize=10)  # fmt: skip


def many(path, records: list[dict], ranks: list[dict], s) -> None:
  """Encodings by their fields, all heads, and rank correlations, into a PNG."""
  figure = Figure(figsize=(14, 5.6), layout='constrained')
  axes = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
  figure.suptitle(
    f'{len(records)} runs, {s.length:,} tokens, eps = {s.eps[0]}, trained at '
    f'{records[0]["about"]["train_length"]:,}', fontsize=11,
  )  # fmt: skip
  order = _by_encoding(axes[0], records, s.eps[0])
  _all_heads(axes[1], records, s.eps[0], order)
  _ranks(axes[2], ranks, s.eps)
  for ax in axes:
    _plain(ax)
  _save(figure, path)


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
  for i, k in enumerate(LOOK):
    x = [middle(name, k) for name in names]
    theory = k.startswith('trf')
    ax.plot(
      x, range(len(names)), '|' if theory else MARKERS[i % 7],
      color=LOOK[k][0], ms=14 if theory else 5.5, mew=2.2 if theory else 1,
      alpha=0.85, label=name_of(k), zorder=1 if theory else 2,
    )  # fmt: skip
  ax.set_yticks(range(len(names)), names, fontsize=9)
  ax.invert_yaxis()
  n = records[0]['about']['length']
  _log(ax, 'x', 1, n * 1.15)
  _trained(ax, records[0])
  ax.set_xlabel('n(eps), tokens')
  ax.set_title("the network's fields", loc='left', fontsize=10)
  ax.legend(fontsize=7.5, frameon=False, loc='upper center', ncols=4,
            bbox_to_anchor=(0.4, -0.1))  # fmt: skip
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
    _log(ax, axis, 1, n * 1.3)
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
      ax.plot(r['rho'], at, MARKERS[i % 7], color=colour, ms=5)
  for i, e in enumerate(eps):
    ax.plot([], [], MARKERS[i % 7], color=f'C{i}', label=f'eps = {e}')
  ax.axvline(0, color='0.5', lw=0.9)
  ax.set_yticks(range(len(names)), [name_of(k) for k in names], fontsize=8.5)
  ax.set(xlim=(-1.05, 1.05), xlabel="Spearman's rho over encodings")
  ax.set_title('does it rank encodings as the TRF does?', loc='left',
               fontsize=10)  # fmt: skip
  ax.legend(fontsize=8, frameon=False, loc='lower left')
