"""Relative positional encodings, one file each; the file is the registration.

A file `extrapolation/rpe/NAME.py` with a function `make(H, **hyper) -> RPE`
is an encoding called NAME everywhere: config, theory, sweeps, figures, tests.
The keyword arguments of `make`, with their defaults, are its hyperparameters.
"""

import dataclasses
import difflib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # JAX is imported with the first of these, or encoding
  from extrapolation.rpe.base import RPE, Params, slopes

__all__ = [
  'RPE',
  'Params',
  'defaults',
  'get',
  'label',
  'names',
  'parse',
  'slopes',
]


OTHERS = ('base', 'check')  # files that are no encodings


def __getattr__(name: str) -> Any:
  if name in ('RPE', 'Params', 'slopes'):
    return getattr(importlib.import_module(f'{__name__}.base'), name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def names() -> list[str]:
  """Every encoding there is, in alphabetical order.

  >>> 'alibi' in names()
  True
  """
  files = (m.name for m in pkgutil.iter_modules(__path__))
  return sorted(n for n in files if n not in OTHERS and n[0] != '_')


def _make(name: str) -> Callable:
  if name not in names():
    name = name[:80]
    close = difflib.get_close_matches(name, names(), 1)
    hint = f' (did you mean {close[0]!r}?)' if close else ''
    raise ValueError(
      f'no encoding {name!r}{hint}; there are: ' + ', '.join(names())
    )
  try:
    make = importlib.import_module(f'{__name__}.{name}').make
    defaults = list(inspect.signature(make).parameters.values())[1:]
  except Exception as e:  # whatever a file of the user's own raises
    raise _unusable(name, f'{type(e).__name__}: {e}') from e
  for p in defaults:
    if p.default is p.empty:
      raise _unusable(name, f'make() has no default for {p.name!r}')
  return make


def _unusable(name: str, why: str) -> ValueError:
  why = ' '.join(why.split())[:300]
  return ValueError(f'encoding {name!r} cannot be used: {file_of(name)}: {why}')


def file_of(name: str) -> str:
  """The path of the file of an encoding; '' where there is none."""
  spec = importlib.util.find_spec(f'{__name__}.{name}')
  return spec.origin or '' if spec else ''


def parse(spec: str) -> tuple[str, dict[str, str]]:
  """`NAME:KEY=VALUE:...`, as lists of encodings write it, in its parts.

  >>> parse('harmonic:exponent=1.05')
  ('harmonic', {'exponent': '1.05'})
  """
  name, *hyper = spec.strip().split(':')
  pairs = (item.partition('=') for item in hyper)
  return name, {key: value for key, _, value in pairs}


def label(name: str, hyper: Mapping) -> str:
  """`NAME:KEY=VALUE:...` with the hyperparameters that are not the default.

  >>> label('window', {'width': 64})
  'window:width=64'
  """
  known = defaults(name)
  changed = [f'{k}={v}' for k, v in hyper.items() if v != known[k]]
  return ':'.join([name, *changed])


def defaults(name: str) -> dict:
  """The hyperparameters of an encoding with their default values.

  >>> defaults('window')
  {'width': 128}
  """
  parameters = list(inspect.signature(_make(name)).parameters.values())
  return {p.name: p.default for p in parameters[1:]}


def get(name: str, H: int, /, **hyper: Any) -> 'RPE':
  """Builds the encoding `name` for H heads.

  >>> get('alibi', 8).source
  'Press et al. 2022, arXiv 2108.12409'

  Raises:
    ValueError: no such encoding, or a hyperparameter that it does not have or
      cannot take; the message lists what there is.
  """
  make = _make(name)
  known = defaults(name)
  for key in hyper:
    if key not in known:
      has = ', '.join(known) or 'none'
      raise ValueError(
        f'encoding {name!r} has no hyperparameter {key!r}; it has: {has}'
      )
  try:
    made = make(H, **hyper)
  except ValueError:  # of a hyperparameter
    raise
  except Exception as e:  # whatever a file of the user's own raises
    raise _unusable(name, f'{type(e).__name__}: {e}') from e
  from extrapolation.rpe.base import RPE

  if not isinstance(made, RPE):
    raise _unusable(name, f'make() gives {type(made).__name__}, not an RPE')
  return dataclasses.replace(made, name=name)
