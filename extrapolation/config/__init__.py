"""Configs: a Python file, overrides from the command line, one typed object.

`base` is the ConfigDict that config files begin from, `load` makes an
`Experiment` of a file and overrides. `sections.py` explains every key.
"""

from extrapolation.config.experiment import (
  Experiment,
  base,
  differences,
  from_dict,
)
from extrapolation.config.notation import (
  grid_of,
  keys_or_error,
  targets_per_window,
)
from extrapolation.config.overrides import load, override
from extrapolation.config.sections import (
  Data,
  Eval,
  Model,
  Network,
  Optim,
  Parallel,
  Sweep,
  Train,
)
from extrapolation.config.spaces import cells, places, positions, size
from extrapolation.config.spaces import of as geometry_of

__all__ = [
  'Data',
  'Eval',
  'Experiment',
  'Model',
  'Network',
  'Optim',
  'Parallel',
  'Sweep',
  'Train',
  'base',
  'cells',
  'differences',
  'from_dict',
  'geometry_of',
  'grid_of',
  'keys_or_error',
  'load',
  'override',
  'places',
  'positions',
  'size',
  'targets_per_window',
]
