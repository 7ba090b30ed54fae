"""Text that is given as itself, as a file, or on standard input."""

import pathlib
import sys

from extrapolation.cli import paths


def read(given: str) -> str:
  r"""The text of `@FILE`, of `-` (standard input), or `given` itself.

  It is taken as it is: line ends too. A text that begins with @ is given with
  two of them.

  Raises:
    ValueError: it is not UTF-8.
    OSError: the file cannot be read.
  """
  if given.startswith('@@'):
    return given[1:]
  if given == '-':
    return _decoded(sys.stdin.buffer.read(), 'standard input')
  if given.startswith('@'):
    path = paths.expand(given[1:])
    return _decoded(pathlib.Path(path).read_bytes(), path)
  return _decoded(given.encode(errors='surrogateescape'), '--prompt')


def _decoded(text: bytes, where: str) -> str:
  try:
    return text.decode('utf-8-sig')
  except UnicodeDecodeError as e:
    raise ValueError(
      f'the prompt in {where} is not UTF-8: byte {text[e.start]:#04x} at '
      f'{e.start}; convert it, as with iconv -t utf-8'
    ) from None
