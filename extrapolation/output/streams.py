"""Standard output and error, whatever reads them and whatever they can show."""

import codecs
import contextlib
import os
import select
import sys
from typing import TextIO

ERRORS = 'extrapolation.shown'
_left: set[int] = set()  # streams whose reader has left


def _shown(error: UnicodeError) -> tuple[str | bytes, int]:
  """A byte of a file name as it is, any other letter as an escape."""
  if not isinstance(error, UnicodeEncodeError):
    raise error
  letters = error.object[error.start : error.end]
  out = b''
  for letter in letters:
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # what Python makes of such a byte
      out += bytes([ord(letter) - 0xDC00])
    else:
      out += letter.encode('ascii', 'backslashreplace')
  return out, error.end


codecs.register_error(ERRORS, _shown)


def setup() -> None:
  """Lets both streams of this process show any text, by escapes if need be."""
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors=ERRORS)


def line(text: str, stream: TextIO) -> None:
  """Writes a line at once; where its reader has left, nothing from then on.

  `train | head` trains to its end.
  """
  try:
    stream.write(f'{text}\n')  # in one piece: threads write lines as well
    stream.flush()
  except BrokenPipeError:
    leave(stream)


def leave(stream: TextIO) -> None:
  """Nobody reads a stream: what is written to it is dropped, and no error."""
  try:
    fd = stream.fileno()
  except (OSError, ValueError, AttributeError):  # of a test or a notebook
    return
  null = os.open(os.devnull, os.O_WRONLY)
  os.dup2(null, fd)
  os.close(null)
  _left.add(fd)


def unread() -> bool:
  """Whether the reader of a stream has left; then both can still be closed."""
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError, ValueError, AttributeError):
      ends = select.poll()
      ends.register(stream.fileno(), 0)  # errors are reported in any case
      if any(event & select.POLLERR for _, event in ends.poll(0)):
        leave(stream)
      stream.flush()
  return bool(_left)
