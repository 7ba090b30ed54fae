"""Relative positional encodings, one file each; the file is the registration.

A file `extrapolation/rpe/NAME.py` with a function `make(H, **hyper) -> RPE`
is an encoding called NAME everywhere: config, theory, sweeps, figures, tests.
The keyword arguments of `make`, with their defaults, are its hyperparameters.
A file of the user's own is one too once `load` has run it, and so is an entry
point of an installed package (`plugins`).
"""

import dataclasses
import difflib
import importlib.util
import inspect
import os
import pathlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from extrapolation.rpe import composition, plugins, spec, user_file
from extrapolation.rpe.composition import folder_name, is_composed
from extrapolation.rpe.spec import (
  check_keys,
  is_file,
  name_of,
  typed,
  write,
)
from extrapolation.rpe.user_file import (
  KEPT,
  add_flag,
  digests,
  find,
  load,
  loaded,
)

if TYPE_CHECKING:  # JAX is imported with the first of these, or encoding
  from extrapolation.rpe.base import RPE, Params, slopes
  from extrapolation.rpe.compose import init_rows, of_layer, rows

__all__ = [
  'KEPT',
  'RPE',
  'Params',
  'about',
  'add_flag',
  'added_later',
  'at_train_length',
  'defaults',
  'digests',
  'find',
  'folder_name',
  'get',
  'init_rows',
  'is_composed',
  'is_file',
  'label',
  'layers',
  'load',
  'loaded',
  'name_of',
  'named',
  'names',
  'of_layer',
  'parse',
  'rows',
  'slopes',
  'source',
  'typed',
  'write',
]


# Files beside the encodings that are none.
OTHERS = ('base', 'check', 'compose', 'composition', 'fingerprint', 'laws',
          'plugins', 'spec', 'user_file')  # fmt: skip


_FILES = dict.fromkeys(('RPE', 'Params', 'slopes'), 'base')
_FILES |= dict.fromkeys(('init_rows', 'of_layer', 'rows'), 'compose')


def __getattr__(name: str) -> Any:
  if name in _FILES:
    module = importlib.import_module(f'{__name__}.{_FILES[name]}')
    return getattr(module, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def names() -> list[str]:
  """Every encoding there is by name, in alphabetical order.

  >>> 'alibi' in names()
  True
  """
  return sorted([*_packaged(), *plugins.installed(_packaged())])


def _packaged() -> tuple[str, ...]:
  files = (m.name for m in pkgutil.iter_modules(__path__))
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
      make = importlib.import_module(f'{__name__}.{kernel}').make
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
  there = importlib.util.find_spec(f'{__name__}.{kernel}')
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


def parse(text: str) -> tuple[str, dict[str, str]]:
  """The kernel of a spec, and the text of each of its hyperparameters.

  A spec of more than a kernel comes back in its one form, with none beside it.

  >>> parse('harmonic:exponent=1.05')
  ('harmonic', {'exponent': '1.05'})
  >>> parse('harmonic*log_n:whole=yes')
  ('harmonic*log_n:whole=true', {})
  """
  return (label(text, {}), {}) if is_composed(text) else spec.parse(text)


def named(text: str) -> str:
  """A spec as a user names it in a command: its file, if it is one, is run.

  Raises:
    ValueError: no such encoding.
  """
  kernel, hyper = parse(text)
  if is_file(kernel):
    load(kernel)
  typed(kernel, hyper, defaults(kernel))
  return text


def at_train_length(text: str, T: int) -> str:
  """A spec whose hyperparameters `train_length` are T unless they are given.

  Those of clocks and heats, and of kernels that others are given for.

  >>> at_train_length('harmonic*log_n', 128)
  'harmonic*log_n:train_length=128'
  """
  if is_composed(text):
    parts = composition.parse(text, defaults)
    return composition.write(
      composition.at_train_length(parts, T, defaults), label
    )
  kernel, hyper = spec.parse(text)
  if hyper and not is_file(kernel) and 'train_length' in defaults(kernel):
    hyper = {'train_length': str(T)} | hyper
    return ':'.join([kernel, *(f'{k}={v}' for k, v in hyper.items())])
  return text


def label(kernel: str, hyper: Mapping, known: Mapping | None = None) -> str:
  """`KERNEL:KEY=VALUE:...` with hyperparameters that are not the default.

  Args:
    known: the defaults; those of `make` if None.

  >>> label('window', {'width': 64})
  'window:width=64'
  """
  if is_composed(kernel):
    return composition.write(composition.parse(kernel, defaults), label)
  known = defaults(kernel) if known is None else known
  changed = {k: v for k, v in hyper.items() if k not in known or v != known[k]}
  return write(kernel, changed)


def defaults(kernel: str) -> dict:
  """The hyperparameters of an encoding with their default values.

  >>> defaults('window')
  {'width': 128}
  """
  if is_composed(kernel):  # whose text has them
    composition.parse(kernel, defaults)
    return {}
  parameters = list(inspect.signature(_make(kernel)).parameters.values())
  return {p.name: p.default for p in parameters[1:]}


def added_later(kernel: str) -> dict:
  """The defaults of hyperparameters that `make` takes by keyword alone.

  Those after `*` joined an encoding that runs were trained with before: at its
  default each leaves it the encoding that it was.

  >>> added_later('rotary')['scaling']
  'none'
  """
  if is_composed(kernel) or is_file(kernel):
    return {}
  parameters = inspect.signature(_make(kernel)).parameters.values()
  return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def layers(text: str, H: int, /, **hyper: Any) -> tuple['RPE', ...]:
  """The encodings of H heads that layers take turns in, one if all are equal.

  >>> [e.name for e in layers('none/alibi+none*log_n', 8)]
  ['none', 'alibi+none*log_n']

  Args:
    text: as `get`, or several of them with `/` between.

  Raises:
    ValueError: as `get`.
  """
  if not is_composed(text):
    return (get(text, H, **hyper),)
  if hyper:
    raise ValueError(
      f'{text!r}: hyperparameters are written into it, KERNEL:KEY=VALUE; given '
      f'beside it: {", ".join(hyper)}'
    )
  from extrapolation.rpe import compose

  parsed = composition.parse(text, defaults)
  return tuple(compose.heads(parts, H, get, label) for parts in parsed)


def get(kernel: str, H: int, /, **hyper: Any) -> 'RPE':
  """Builds an encoding for H heads.

  >>> get('alibi', 8).source
  'Press et al. 2022, arXiv 2108.12409'

  Args:
    kernel: a name, the path of a file that was loaded (`load`), or kernels
      with clocks and heats in shares of the heads (`composition`).

  Raises:
    ValueError: no such encoding, or a hyperparameter that it does not have or
      cannot take; the message lists what there is.
  """
  if is_composed(kernel):
    encoding, *more = layers(kernel, H, **hyper)
    if more:
      raise ValueError(f'{kernel!r} is several encodings, of several layers')
    return encoding
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
