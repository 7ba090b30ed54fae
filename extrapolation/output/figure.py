"""What all figures share: their axes, and how they become files."""

import math
import os
import pathlib

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from extrapolation.output import files

LEAST = 1.01  # ends of an axis by ratio; less is no difference to look at
FINE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)  # of a decade


def save(figure: Figure, path: str | os.PathLike, dpi: int = 150) -> None:
  """An atomic write of a figure, as the path says: .png or .svg.

  The same figure gives the same bytes.
  """
  name = pathlib.PurePath(path)
  kind = name.suffix[1:]
  metadata = {'Date': None} if kind == 'svg' else None
  with (
    files.atomic(path) as temporary,
    matplotlib.rc_context({'svg.hashsalt': name.name}),
  ):
    figure.savefig(temporary, dpi=dpi, format=kind, metadata=metadata)


def plain(ax: Axes) -> None:
  """A faint grid, and no frame above or to the right."""
  ax.grid(alpha=0.25, lw=0.5)
  ax.spines[['top', 'right']].set_visible(False)


def by_ratio(ax: Axes, which: str = 'y') -> None:
  """Makes an axis logarithmic, for data that is drawn; no two labels are equal.

  Args:
    which: x or y.
  """
  ax.set(**{f'{which}scale': 'log'})
  axis = getattr(ax, f'{which}axis')
  low, high = getattr(ax.dataLim, f'interval{which}')
  if 0 < low <= high < LEAST * low:  # of no data, high is less
    middle = math.sqrt(low * high)
    ends = middle / math.sqrt(LEAST), middle * math.sqrt(LEAST)
    ax.set(**{f'{which}lim': ends})
  low, high = getattr(ax, f'get_{which}lim')()
  axis.set_minor_locator(NullLocator())
  if high / low > 2:
    subs = FINE if high / low < 10 else (1, 2, 5) if high / low < 1e3 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter('{x:,g}')
    return
  # Round numbers at equal steps, which a decade does not have there.
  ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
  digits = max(0, math.ceil(-math.log10(np.diff(ticks).min()) - 1e-9))
  axis.set_major_locator(FixedLocator(ticks))
  axis.set_major_formatter(f'{{x:,.{digits}f}}')
