"""Archives of many files, whose list of contents is read once."""

import functools
import os
import pathlib
import zipfile

from extrapolation.data import plain_file


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


@functools.lru_cache(maxsize=1)
def _opened(path: str, *_: int) -> zipfile.ZipFile:
  return zipfile.ZipFile(path)
