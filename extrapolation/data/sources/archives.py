"""Archives of many files, whose list of contents is read once."""

import errno
import functools
import os
import pathlib
import struct
import zipfile
from typing import IO

from extrapolation.data.sources.packing import ZIP
from extrapolation.output import plain_file


def opened(path: pathlib.Path) -> zipfile.ZipFile:
  """The archive, open for reading; the one that was asked for last stays so.

  Raises:
    zipfile.BadZipFile: it is none, or damaged.
    ValueError: it is no plain file.
  """
  status = plain_file.check(path)
  # Another file of the same name is another archive.
  return _opened(
    os.path.realpath(path), status.st_mtime_ns, status.st_size, status.st_ino
  )


def member(path: pathlib.Path, name: str) -> IO[bytes]:
  """One of its files, open for reading.

  Raises:
    zipfile.BadZipFile: it does not lie where the list of contents says.
  """
  try:
    return opened(path).open(name)
  except (KeyError, struct.error) as error:
    raise zipfile.BadZipFile(plain_file.brief(error)) from None
  except OSError as error:
    if error.errno != errno.EINVAL:  # of a place before the beginning
      raise
    raise zipfile.BadZipFile(f'{name} lies outside of it') from None


@functools.lru_cache(maxsize=1)
def _opened(path: str, *_: int) -> zipfile.ZipFile:
  return zipfile.ZipFile(path)


def is_zip(path: pathlib.Path) -> bool:
  """Whether a file begins as an archive does, whatever it is called."""
  with open(path, 'rb') as file:
    head = file.read(4)
  # One that begins otherwise is damaged, and to be said so.
  return head in ZIP or path.suffix.lower() == '.zip'
