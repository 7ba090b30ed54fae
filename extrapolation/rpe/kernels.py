"""Encodings by one name: a packaged file, an entry point, a loaded file."""

import dataclasses
import difflib
import functools
import importlib.util
import inspect
import os
import pathlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from extrapolation.rpe import plugins, user_file
from extrapolation.rpe.spec import check_keys, is_file, name_of
from extrapolation.rpe.user_file import find, loaded

if TYPE_CHECKING:
  from extrapolation.rpe.base import RPE

PACKAGE = 'extrapolation.rpe'
# Files beside the encodings that are none.
OTHERS = ('base', 'check', 'compose', 'composition', 'fingerprint', 'kernels',
          'laws', 'plugins', 'rates', 'spec', 'user_file')  # fmt: skip


def names() -> list[str]:
  """Every encoding there is by name, in alphabetical order.

  >>> 'alibi' in names()
  True
  """
  return sorted([*_packaged(), *plugins.installed(_packaged())])


def _packaged() -> tuple[str, ...]:
  path = tuple(importlib.import_module(PACKAGE).__path__)
  return _listed(path, tuple(os.stat(p).st_mtime_ns for p in path))


@functools.cache  # a sweep asks thousands of times
def _listed(path: tuple[str, ...], changed: tuple[int, ...]) -> tuple[str, ...]:
  """The encodings in these folders, which changed last at these times (ns)."""
  del changed
  files = (m.name for m in pkgutil.iter_modules(path))
  return tuple(n for n in files if n not in OTHERS and n[0] != '_')


def _make(kernel: str) -> Callable:
  if is_file(kernel):
    return find(kernel).make
  if kernel not in names():
    raise ValueError(_unknown(kernel))
  try:
    if point := plugins.installed(_packaged()).get(kernel):
      make = plugins.make(point)
    else:
      make = importlib.import_module(f'{PACKAGE}.{kernel}').make
  except Exception as e:  # whatever a file raises
    raise _unusable(kernel, f'{type(e).__name__}: {e}') from e
  if why := user_file.fault_in_make(file_of(kernel), make):
    raise _unusable(kernel, why)
  assert make is not None
  return make


def _unknown(kernel: str) -> str:
  name = kernel[:80]
  if os.path.isfile(f'{name}.py'):
    hint = f' (for the file of your own write {name}.py)'
  elif os.sep in name:
    hint = ' (a file of your own ends in .py)'
  else:
    close = difflib.get_close_matches(name, names(), 1)
    hint = f' (did you mean {close[0]!r}?)' if close else ''
  return f'no encoding {name!r}{hint}; there are: ' + ', '.join(names())


def _unusable(kernel: str, why: str) -> ValueError:
  path = file_of(kernel)
  where = '' if path and path in why else f'{path}: '
  why = ' '.join(why.split())[:400]
  return ValueError(f'encoding {kernel!r} cannot be used: {where}{why}')


def file_of(kernel: str) -> str:
  """The path of the file of an encoding; '' where there is none."""
  if is_file(kernel):
    return find(kernel).path if loaded(kernel) else ''
  if point := plugins.installed(_packaged()).get(kernel):
    try:
      return inspect.getsourcefile(plugins.make(point)) or ''  # pyrefly: ignore
    except Exception:  # whatever importing it raises
      return f'{plugins.package(point)}, {point.value}'
  if kernel not in _packaged():  # several of them, as in alibi+none
    return ''
  there = importlib.util.find_spec(f'{PACKAGE}.{kernel}')
  return there.origin or '' if there else ''


def source(kernel: str) -> tuple[str, bytes] | None:
  """The file of an encoding that is not packaged: its name and its bytes."""
  if is_file(kernel):
    return name_of(kernel), find(kernel).source
  path = file_of(kernel)
  if kernel in _packaged() or not os.path.isfile(path):
    return None
  return f'{kernel}.py', pathlib.Path(path).read_bytes()


def about(kernel: str) -> dict[str, Any]:
  """What a config records of a file of the user's own that was loaded."""
  return dict(sha256=find(kernel).sha256, defaults=defaults(kernel))


def defaults(kernel: str) -> dict:
  """The hyperparameters of an encoding with their default values.

  >>> defaults('window')
  {'width': 128}
  """
  parameters = list(inspect.signature(_make(kernel)).parameters.values())
  return {p.name: p.default for p in parameters[1:]}


def keyword_only(kernel: str) -> dict[str, Any]:
  """The hyperparameters after `*`, with their default values."""
  parameters = inspect.signature(_make(kernel)).parameters.values()
  return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def get(kernel: str, H: int, /, **hyper: Any) -> 'RPE':
  """Builds an encoding for H heads.

  Args:
    kernel: a name, or the path of a file that was loaded (`load`).

  Raises:
    ValueError: no such encoding, or a hyperparameter that it does not have or
      cannot take; the message lists what there is.
  """
  make = _make(kernel)
  known = defaults(kernel)
  check_keys(kernel, hyper, known)
  try:
    made = make(H, **hyper)
  except Exception as e:  # whatever a file raises
    if isinstance(e, ValueError) and kernel in _packaged():
      raise  # of a hyperparameter
    why = user_file.fault(file_of(kernel), e)
    raise _unusable(kernel, f'{why}; mend that file') from e
  from extrapolation.rpe.base import RPE

  if not isinstance(made, RPE):
    raise _unusable(
      kernel,
      f'make() gives {type(made).__name__}, not an RPE; return '
      'extrapolation.rpe.base.RPE(bias=.., source=..)',
    )
  return dataclasses.replace(made, name=name_of(kernel))
