"""Clocks, one file each: what position each token has; the file registers it.

A file `extrapolation/clock/NAME.py` with a function `make(H, **hyper) -> Clock`
is a clock called NAME: the distance that an encoding reads is p_i - p_j.
"""

import importlib
from typing import TYPE_CHECKING, Any

from extrapolation.parts import Registry

if TYPE_CHECKING:  # JAX is imported with the first of these, or clock
  from extrapolation.clock.base import Clock

__all__ = [
  'REGISTRY',
  'Clock',
  'defaults',
  'file_of',
  'get',
  'label',
  'names',
]

REGISTRY = Registry(__name__, 'clock', 'Clock')
names = REGISTRY.names
defaults = REGISTRY.defaults
label = REGISTRY.label
get = REGISTRY.get
file_of = REGISTRY.file_of


def __getattr__(name: str) -> Any:
  if name == 'Clock':
    return importlib.import_module(f'{__name__}.base').Clock
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
