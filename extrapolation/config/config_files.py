"""Where config files are: a path, or the name of one that is installed."""

import os
import pathlib

from extrapolation.cli import paths

_PACKAGE = pathlib.Path(__file__).parents[1]
# In an installed package; in a checkout, beside it.
FOLDERS = (_PACKAGE / 'configs', _PACKAGE.parent / 'configs')


def names() -> list[str]:
  """Of the configs that come with this package.

  >>> 'demo' in names()
  True
  """
  return sorted(p.stem for p in _folder().glob('*.py') if p.stem[0] != '_')


def _folder() -> pathlib.Path:
  return next((f for f in FOLDERS if f.is_dir()), FOLDERS[0])


def find(spec: str) -> tuple[str, str]:
  """The path and the argument of `FILE.py[:arg]` or `NAME[:arg]`.

  A file that is there goes before a name; `configs/NAME.py` is that name where
  there is no such file.

  Raises:
    ValueError: neither a file nor a name; lists the names.
  """
  spec = paths.expand(spec)
  if os.path.isfile(spec):
    return spec, ''
  path, colon, arg = spec.rpartition('.py:')
  path, arg = (f'{path}.py', arg) if colon else (spec, '')
  if not colon and not spec.endswith('.py'):
    path, _, arg = spec.partition(':')
  if os.path.isfile(path):
    return path, arg
  name = path.removeprefix('configs/').removesuffix('.py')
  if name in names():
    return str(_folder() / f'{name}.py'), arg
  raise ValueError(
    f'no config file {path!r}; give the path of a Python file with '
    f'get_config(), or one of: {", ".join(names())}'
  )
