"""Weight, tail and receptive field against distance."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.theory import finite_horizon
from extrapolation.theory.answer import Asked
from extrapolation.theory.subjects import Subject

matplotlib.use('Agg')

POINTS = 400
FLOOR = 1e-8  # of weight and tail; what is smaller is not drawn
REACH = 10**7  # tokens on the axis


def save(
  path: str,
  subjects: Sequence[Subject],
  records: Sequence[dict],
  asked: Asked,
) -> None:
  """Draws the heads of each subject into one PNG, one row per subject.

  Left: the weight e^b(t) relative to its largest. Middle: the share of the
  weight below the horizon that lies at or beyond t. Right: n(eps) of every
  head, and of the weights below the horizon.

  Args:
    path: file to write.
    subjects: those without numbers of their own get no row.
    records: those of answer.record, in the same order.
    asked: of them; its lengths are marked.

  Raises:
    ValueError: no subject has numbers, or a wrong path.
  """
  shown = [
    (subject, record)
    for subject, record in zip(subjects, records, strict=True)
    if record['heads'][0]['horizon']['trf'] is not None
  ]
  if not shown:
    why = subjects[0].not_judged or 'give the parameters values with --set'
    raise ValueError(f'nothing to draw: {why}')
  figure = Figure(figsize=(13, 3.1 * len(shown) + 0.6), layout='constrained')
  rows = figure.subplots(len(shown), 3, squeeze=False)
  for axes, (subject, record) in zip(rows, shown, strict=True):
    _row(axes, subject, record, asked.train, asked.horizon)
  try:
    figure.savefig(path, dpi=90)
  except (OSError, ValueError) as e:
    raise ValueError(f'cannot write the figure {path}: {e}') from e


def _row(
  axes: np.ndarray, subject: Subject, record: dict, train: int, horizon: int
):
  heads = subject.heads
  t = np.unique(np.geomspace(1, horizon, POINTS).astype(np.int64)) - 1
  colours = matplotlib.colormaps['viridis'](np.linspace(0, 0.9, len(heads)))
  every = np.arange(horizon, dtype=np.float64)
  for i, (head, colour) in enumerate(zip(heads, colours, strict=True)):
    b = finite_horizon.log_weights(head, every)
    w = np.exp(b - b.max())
    tail = np.cumsum(w[::-1])[::-1] / w.sum()
    label = f'head {i + 1}' if i in (0, len(heads) - 1) else None
    for ax, y in zip(axes, (w, tail), strict=False):
      seen = np.where(y[t] > FLOOR, y[t], np.nan)
      ax.plot(t + 1, seen, color=colour, lw=1.4, label=label)
  titles = (
    f'{subject.name}: weight',
    'share at or beyond t',
    'receptive field n(eps)',
  )
  for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, loc='left', fontsize=10)
    ax.grid(alpha=0.25, lw=0.5)
  for ax in axes[:2]:
    ax.set(xscale='log', yscale='log', ylim=(FLOOR, 4), xlim=(1, horizon))
    ax.set_xlabel('distance t + 1 (tokens)')
    ax.axvline(train, color='0.35', lw=1, ls='--')
    ax.text(train, 1.5, ' trained', fontsize=8, color='0.35')
  axes[0].set_ylabel('e^b(t) / max')
  axes[1].set_ylabel(f'of the mass below {horizon}')
  if len(heads) > 1:
    axes[0].legend(fontsize=8, frameon=False, loc='lower left')
  _fields(axes[2], record['heads'], train, horizon)


def _fields(ax: Axes, heads: Sequence, train: int, horizon: int):
  """n(eps) per head: filled for all distances, hollow below the horizon."""
  index = np.arange(1, len(heads) + 1)
  names = list(heads[0]['horizon']['trf'])
  colours = matplotlib.colormaps['plasma'](np.linspace(0.1, 0.75, len(names)))
  for name, colour in zip(names, colours, strict=True):
    below = [h['horizon']['trf'][name] for h in heads]
    ax.plot(index, below, 'o', mfc='none', color=colour, ms=6)
    fields = [_low(h['trf'].get(name)) for h in heads]
    y = [f if f and f <= REACH else np.nan for f in fields]
    ax.plot(index, y, '.-', color=colour, lw=1, label=f'eps = {name}')
    for x, f in zip(index, fields, strict=True):
      if f is not None and f > REACH:
        ax.annotate(
          '', (x, REACH * 2), (x, REACH / 2),
          arrowprops=dict(arrowstyle='->', color=colour),
        )  # fmt: skip
  ax.set(yscale='log', xlabel='head', ylim=(0.8, REACH * 300))
  ax.set_xticks(index[:: math.ceil(len(index) / 16)])
  for y, text in ((train, 'trained'), (horizon, 'horizon')):
    ax.axhline(y, color='0.35', lw=1, ls='--')
    ax.text(0.55, y * 1.15, text, fontsize=8, color='0.35')
  ax.set_xlim(0.5, len(heads) + 0.5)
  ax.legend(
    fontsize=8, frameon=False, loc='upper left', ncols=3, title_fontsize=8,
    title='filled: all distances; hollow: below horizon; arrow: beyond axis',
    alignment='left',
  )  # fmt: skip


def _low(bracket: dict | None) -> float | int | None:
  if bracket is None:
    return None
  return math.inf if bracket['low'] is None else bracket['low']
