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
  'differences',
  'from_dict',
  'grid_of',
  'keys_or_error',
  'load',
  'override',
  'targets_per_window',
]
