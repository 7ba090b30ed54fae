"""Files that may be anybody's: plain ones alone, and JSON that is an object."""

import json
import os
import pathlib
import stat
from typing import Any, NoReturn

from etils import epath

from extrapolation.output import files

_ENDLESS = ('/proc', '/sys')  # what reads as a file, and is none
_KINDS = {
  stat.S_IFIFO: 'a pipe',
  stat.S_IFSOCK: 'a socket',
  stat.S_IFCHR: 'a device',
  stat.S_IFBLK: 'a device',
  stat.S_IFDIR: 'a folder',
}
MOST_JSON = 1 << 28  # bytes; a manifest of a million inputs has about as many

# What parsers raise on bytes that nobody wrote for them.
PARSE_ERRORS = (
  ArithmeticError,
  AssertionError,
  AttributeError,
  EOFError,
  LookupError,
  MemoryError,
  RecursionError,
  SyntaxError,
  TypeError,
  ValueError,
)


def check(path: str | os.PathLike) -> os.stat_result:
  """The status of a file, links followed, before anything is read from it.

  Raises:
    ValueError: a device, a pipe, a socket or what a kernel makes up.
    OSError: there is no such file.
  """
  status = os.stat(path)
  kind = stat.S_IFMT(status.st_mode)
  if kind != stat.S_IFREG:
    what = _KINDS.get(kind, 'no file')
  elif not getattr(status, 'st_blocks', 0) and _made_up(path):
    what = f'made up by the kernel as it is read ({", ".join(_ENDLESS)})'
  else:
    return status
  raise ValueError(f'{path} is {what}, which may never end; give a plain file')


def read(path: str | os.PathLike) -> bytes:
  """All of a plain file, or of an object in a store.

  Raises:
    ValueError: a local one is not plain.
    OSError: there is no such file, or it cannot be read.
  """
  if files.is_local(path):
    check(path)
  return epath.Path(path).read_bytes()


def read_json(path: str | os.PathLike) -> dict[str, Any]:
  """The object in a file.

  Raises:
    ValueError: it is not plain, or holds anything else; names the file.
    OSError: there is no such file, or it cannot be read.
  """
  if check(path).st_size > MOST_JSON:
    raise ValueError(f'{path} has more than {MOST_JSON:,} bytes')
  raw = pathlib.Path(path).read_bytes()
  try:
    value = json.loads(raw.decode(), parse_constant=_no_number)
    if not isinstance(value, dict):
      raise TypeError(f'a {type(value).__name__}')
  except PARSE_ERRORS as error:
    raise ValueError(f'{path} is not a JSON object: {brief(error)}') from None
  return value


def _made_up(path: str | os.PathLike) -> bool:
  """Whether a file that takes no place on a disk is the kernel's."""
  return os.path.realpath(path).startswith(tuple(f'{r}/' for r in _ENDLESS))


def brief(error: BaseException) -> str:
  """What an error says, in one line of moderate length."""
  line = ' '.join(str(error).split()) or type(error).__name__
  if isinstance(error, KeyError):
    line = f'{line} is missing'
  return line if len(line) < 300 else f'{line[:300]}...'


def _no_number(name: str) -> NoReturn:
  raise ValueError(f'{name} is no number')
