"""What all figures share: their axes, and how they become files."""

import os
import pathlib

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from extrapolation.output import files


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
