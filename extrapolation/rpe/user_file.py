"""Encodings in files of the user's own, which run only where he names them.

`load` executes one, and `find` gives one that was loaded, and runs nothing: the
config of a run that came from somebody else may name any file. A file is known
by the last part of its path, as in tables and folder names, so that one which
has moved is found again.
"""

import argparse
import dataclasses
import hashlib
import inspect
import os
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from extrapolation.cli import flags, paths, values
from extrapolation.rpe import spec

PLAIN = (bool, int, float, str)  # what a config can hold
NAME = re.compile(r'[\w.-]+')
KEPT = 'encoding'  # the folder of a run that has the source


@dataclasses.dataclass(frozen=True)
class UserFile:
  """A file that was loaded: its path, its bytes, its function `make`."""

  path: str
  source: bytes
  make: Callable

  @property
  def sha256(self) -> str:
    """Of its bytes, in hexadecimal digits."""
    return hashlib.sha256(self.source).hexdigest()


_loaded: dict[str, UserFile] = {}  # by the last part of the path


def load(path: str) -> str:
  """Runs a file and makes it an encoding of this process; returns its name.

  Raises:
    ValueError: no file, or none that defines make(H, ..) as it must; names
      the line. Or one of the same name and other content is loaded already.
  """
  where, name = os.path.abspath(paths.expand(path)), spec.name_of(path)
  if not spec.is_file(path) or not NAME.fullmatch(name):
    raise ValueError(
      f'{path!r} is no file of an encoding: it is called NAME.py, letters, '
      'digits, _ and - in NAME'
    )
  source = _read(path, where)
  known = _loaded.get(name)
  if known and known.path != where and known.source != source:
    raise ValueError(
      f'two encodings are called {name}: {known.path} and {where}; rename one '
      'of the files'
    )
  if not known or known.source != source:
    made = _made(where, source)
    _loaded[name] = UserFile(where, source, made)
  return name


def find(kernel: str, workdir: str = '') -> UserFile:
  """The file of that name that was loaded; nothing is run.

  Args:
    workdir: of the run that names it, if one does.

  Raises:
    ValueError: there is none; says how to name one, and where a copy lies.
  """
  name = spec.name_of(kernel)
  if name in _loaded:
    return _loaded[name]
  kept = os.path.join(workdir, KEPT, name)
  raise ValueError(
    f'encoding {kernel!r} is a file, of which nothing is run unless you name '
    'it: '
    + (
      f'read {kept}, the copy that the run keeps, then add --rpe={kept}, or '
      f'your own {name}'
      if workdir
      else f'rpe.load({kernel!r}) runs it, on a command line --rpe=FILE'
    )
  )


def loaded(kernel: str) -> bool:
  """Whether a file of that name was loaded."""
  return spec.name_of(kernel) in _loaded


def digests() -> dict[str, str]:
  """SHA-256 of every file that was loaded, by name."""
  return {name: file.sha256 for name, file in sorted(_loaded.items())}


def add_flag(parser: argparse.ArgumentParser) -> None:
  """The flag --rpe of commands that read runs; it loads the file it names."""
  parser.add_argument(
    '--rpe',
    action=_Load,
    type=flags.checked(_load_each),
    default=argparse.SUPPRESS,
    metavar='FILE.py,..',
    help='where a run was trained with an encoding of your own: its file, '
    'which is run',
  )


def _load_each(text: str) -> None:
  for path in values.items(text):
    load(path)


class _Load(argparse.Action):
  """Leaves nothing among the flags: its type has loaded the file."""

  def __call__(self, *args: Any, **kwargs: Any) -> None:
    pass


def fault(path: str, e: BaseException) -> str:
  """What went wrong in a file, with the line where it did, in one line."""
  n = line(path, e)
  at = f'{path}, line {n}' if n else path
  words = e.msg if isinstance(e, SyntaxError) else e
  return ' '.join(f'{at}: {type(e).__name__}: {words}'.split())[:400]


def line(path: str, e: BaseException) -> int | None:
  """The line of a file in which an error arose; None if in no line of it."""
  if isinstance(e, SyntaxError) and e.filename == path:
    return e.lineno
  frames = traceback.extract_tb(e.__traceback__)
  lines = [f.lineno for f in frames if f.filename == path]
  return lines[-1] if lines else None


def fault_in_make(path: str, make: Any) -> str:
  """Why `make` cannot be the function of an encoding; '' if it can."""
  if make is None:
    return f'{path} has no make(H, ..); define one that returns an rpe.RPE'
  try:
    parameters = list(inspect.signature(make).parameters.values())
  except (TypeError, ValueError):
    return f'{path}: make is a {type(make).__name__}; define a function make(H)'
  if not parameters:
    return f'{path}: make() takes no H; define make(H, ..), H heads'
  for p in parameters[1:]:
    if p.default is p.empty:
      return f'{path}: make() has no default for {p.name!r}; give it one'
    if type(p.default) not in PLAIN:
      return (
        f'{path}: make() has {p.name}={p.default!r}; a hyperparameter is a '
        'number, a text, True or False'
      )
  return ''


def _read(path: str, where: str) -> bytes:
  if os.path.isdir(where):
    raise ValueError(f'{path!r} is a directory; an encoding is one file')
  if not os.path.isfile(where):
    raise ValueError(
      f'no file {path!r} (looked for {where}); give the path of a file with '
      'make(H, ..), or the name of an encoding'
    )
  try:
    return pathlib.Path(where).read_bytes()
  except OSError as e:
    raise ValueError(f'{path!r} cannot be read: {e.strerror}') from None


def _made(where: str, source: bytes) -> Callable:
  """Runs a file; its function `make`."""
  module = types.ModuleType(f'extrapolation_user_{pathlib.Path(where).stem}')
  module.__file__ = where
  sys.modules[module.__name__] = module  # dataclasses look there
  try:
    exec(compile(source, where, 'exec', dont_inherit=True), vars(module))
  except (Exception, SystemExit) as e:  # whatever it raises
    raise ValueError(f'{fault(where, e)}; mend that file') from e
  make = getattr(module, 'make', None)
  if why := fault_in_make(where, make):
    raise ValueError(why)
  assert make is not None
  return make
