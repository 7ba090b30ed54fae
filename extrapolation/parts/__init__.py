"""What the kinds of one-file parts share: how a file is found, what it reads.

A kind is a room (`clock`, `heat`) whose every file is one part. JAX is
imported with the first part, or with what is not `Registry`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from extrapolation.parts.registry import Registry

if TYPE_CHECKING:
  from extrapolation.parts.inputs import Inputs
  from extrapolation.parts.params import Params

__all__ = ['Inputs', 'Params', 'Registry']

_FILES = {'Inputs': 'inputs', 'Params': 'params'}


def __getattr__(name: str) -> Any:
  if name in _FILES:
    module = importlib.import_module(f'{__name__}.{_FILES[name]}')
    return getattr(module, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
