"""Relative positional encodings, one file each; the file is the registration.

A file `extrapolation/rpe/NAME.py` with a function `make(H, **hyper) -> RPE`
is an encoding called NAME everywhere: config, theory, sweeps, figures, tests.
The keyword arguments of `make`, with their defaults, are its hyperparameters.
A file of the user's own is one too once `load` has run it, and so is an entry
point of an installed package (`plugins`).
"""

import importlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from extrapolation.rpe import composition, kernels, spec
from extrapolation.rpe.composition import folder_name, is_composed
from extrapolation.rpe.kernels import about, file_of, names, source
from extrapolation.rpe.spec import (
  is_file,
  name_of,
  typed,
  write,
)
from extrapolation.rpe.spec import parse as parse_kernel
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
  from extrapolation.rpe.compose import init_rows, of_layer, of_part, rows

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
  'file_of',
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
  'of_part',
  'parse',
  'parse_kernel',
  'rows',
  'slopes',
  'source',
  'typed',
  'write',
]


_FILES = dict.fromkeys(('RPE', 'Params', 'slopes'), 'base')
_FILES |= dict.fromkeys(('init_rows', 'of_layer', 'of_part', 'rows'), 'compose')


def __getattr__(name: str) -> Any:
  if name in _FILES:
    module = importlib.import_module(f'{__name__}.{_FILES[name]}')
    return getattr(module, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


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


def at_train_length(text: str, T: int, known: Collection[str] = ()) -> str:
  """A spec whose hyperparameters `train_length` are T unless they are given.

  Those of clocks and heats, of kernels that always read it, and of the others
  where hyperparameters are given for them.

  Args:
    known: hyperparameters of the kernel that are given beside the text.

  >>> at_train_length('harmonic*log_n', 128)
  'harmonic*log_n:train_length=128'
  """
  if is_composed(text):
    parts = composition.parse(text, kernels.defaults)
    return composition.write(
      composition.at_train_length(
        parts, T, kernels.defaults, _reads_train_length
      ),
      label,
    )
  kernel, hyper = spec.parse(text)
  if is_file(kernel) or 'train_length' not in defaults(kernel):
    return text
  always = _reads_train_length(kernel)
  if not (hyper or always) or (always and 'train_length' in known):
    return text
  hyper = {'train_length': str(T)} | hyper
  return ':'.join([kernel, *(f'{k}={v}' for k, v in hyper.items())])


def _reads_train_length(kernel: str) -> bool:
  """Whether a kernel always does; one given it later does for some others."""
  return 'train_length' not in added_later(kernel)


def label(kernel: str, hyper: Mapping, known: Mapping | None = None) -> str:
  """`KERNEL:KEY=VALUE:...` with hyperparameters that are not the default.

  Args:
    known: the defaults; those of `make` if None.

  >>> label('window', {'width': 64})
  'window:width=64'
  """
  if is_composed(kernel):
    return composition.write(composition.parse(kernel, kernels.defaults), label)
  known = defaults(kernel) if known is None else known
  changed = {k: v for k, v in hyper.items() if k not in known or v != known[k]}
  return write(kernel, changed)


def defaults(kernel: str) -> dict:
  """The hyperparameters of an encoding with their default values.

  >>> defaults('window')
  {'width': 128}
  """
  if is_composed(kernel):  # whose text has them
    composition.parse(kernel, kernels.defaults)
    return {}
  return kernels.defaults(kernel)


def added_later(kernel: str) -> dict:
  """The defaults of hyperparameters that `make` takes by keyword alone.

  Those after `*` joined an encoding that runs were trained with before: at its
  default each leaves it the encoding that it was.

  >>> added_later('rotary')['scaling']
  'none'
  """
  composed = is_composed(kernel) or is_file(kernel)
  return {} if composed else kernels.keyword_only(kernel)


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

  parsed = composition.parse(text, kernels.defaults)
  return tuple(compose.heads(parts, H, kernels.get, label) for parts in parsed)


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
  return kernels.get(kernel, H, **hyper)
