"""Heats, one file each: what scales the logits; the file is the registration.

A file `extrapolation/heat/NAME.py` with a function `make(H, **hyper) -> Heat`
is a heat called NAME: s_i multiplies the logits of query i.
"""

import importlib
from typing import TYPE_CHECKING, Any

from extrapolation.parts import Registry

if TYPE_CHECKING:  # JAX is imported with the first of these, or heat
  from extrapolation.heat.base import Heat

__all__ = [
  'REGISTRY',
  'Heat',
  'defaults',
  'file_of',
  'get',
  'label',
  'names',
]

REGISTRY = Registry(__name__, 'heat', 'Heat')
names = REGISTRY.names
defaults = REGISTRY.defaults
label = REGISTRY.label
get = REGISTRY.get
file_of = REGISTRY.file_of


def __getattr__(name: str) -> Any:
  if name == 'Heat':
    return importlib.import_module(f'{__name__}.base').Heat
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
