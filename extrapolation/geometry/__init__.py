"""Geometries, one file each: distances of a space, and how many keys at each.

A file `extrapolation/geometry/NAME.py` with a function `make(**hyper) ->
Geometry` is a geometry called NAME. Every bias of distance runs in each.
"""

import functools
import importlib
from typing import TYPE_CHECKING, Any

from extrapolation.parts import Registry

if TYPE_CHECKING:  # JAX is imported with the first of these
  from extrapolation.geometry.base import Geometry, Size

__all__ = [
  'REGISTRY',
  'Geometry',
  'Size',
  'counts',
  'defaults',
  'derived',
  'get',
  'label',
  'names',
  'parse',
  'sizes',
]

REGISTRY = Registry(
  __name__,
  'geometry',
  'Geometry',
  others=('base', 'counts', 'derived', 'sizes'),
  given=(),
)
names = REGISTRY.names
defaults = REGISTRY.defaults
label = REGISTRY.label


@functools.lru_cache(maxsize=64)
def get(name: str, **hyper: Any) -> 'Geometry':
  """The geometry of a file; one object for equal arguments.

  Raises:
    ValueError: no such geometry, or a hyperparameter that it does not have or
      cannot take.
  """
  import dataclasses

  made = REGISTRY.get(name, **hyper)
  return dataclasses.replace(made, label=label(name, hyper))


def parse(text: str) -> 'Geometry':
  """The geometry of a text NAME[:VALUE..][:KEY=VALUE..].

  Values without a key are those of the first hyperparameters, in order.

  >>> parse('grid:3').label, parse('tree:2:leaf').label
  ('grid:axes=3', 'tree:at=leaf')
  >>> parse('grid:norm=max').axes
  ('height', 'width')

  Raises:
    ValueError: as `get`, or a value of another type.
  """
  name, *items = text.strip().split(':')
  known = defaults(name)
  hyper: dict[str, Any] = {}
  for i, item in enumerate(items):
    key, equals, value = item.partition('=')
    if not equals:
      if i >= len(known):
        raise ValueError(
          f'geometry {text!r}: {name} takes {len(known)} values: '
          f'{", ".join(known) or "none"}'
        )
      key, value = list(known)[i], item
    if key in hyper:
      raise ValueError(f'geometry {text!r}: {key} is given twice')
    hyper[key] = _typed(text, name, key, value, known)
  return get(name, **hyper)


def _typed(text: str, name: str, key: str, value: str, known: dict) -> Any:
  if key not in known:
    has = ', '.join(known) or 'none'
    raise ValueError(
      f'geometry {name!r} has no hyperparameter {key!r}; it has: {has}'
    )
  if not isinstance(known[key], int):
    return value
  try:
    return int(value)
  except ValueError:
    raise ValueError(
      f'geometry {text!r}: {key} = {value!r} is no whole number'
    ) from None


def __getattr__(name: str) -> Any:
  if name in ('Geometry', 'Size'):
    return getattr(importlib.import_module(f'{__name__}.base'), name)
  if name in ('counts', 'derived', 'sizes'):
    return importlib.import_module(f'{__name__}.{name}')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
