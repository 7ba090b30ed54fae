"""What commands say: the loggers below `extrapolation`, in plain lines.

INFO is for the reader of a command's output, WARNING for what may need them,
DEBUG for what is asked for (`--verbose`). As a library nothing is set up: the
caller's logging decides.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator

from extrapolation.output import streams

_log = logging.getLogger('extrapolation')


class _Lines(logging.Handler):
  """INFO to stdout as it is; everything else to stderr, with its level."""

  def emit(self, record: logging.LogRecord) -> None:
    text = self.format(record)
    if record.levelno == logging.INFO:
      streams.line(text, sys.stdout)
    else:
      level = record.levelname.lower()
      streams.line(f'{level}: {text}', sys.stderr)


def setup(verbose: bool = False) -> None:
  """Lets this process speak; called once by the command line."""
  if not any(isinstance(h, _Lines) for h in _log.handlers):
    _log.addHandler(_Lines())
    _log.propagate = False  # a library may have given the root a handler
  _log.setLevel(logging.DEBUG if verbose else logging.INFO)
  if not verbose:  # what Orbax logs at length is also raised
    logging.getLogger('absl').setLevel(logging.CRITICAL)


def silence() -> None:
  """For processes other than 0: what all would say, one says."""
  _log.setLevel(logging.CRITICAL)


@contextlib.contextmanager
def warnings_only() -> Iterator[None]:
  """Within it, INFO is not for the reader: of one run among many."""
  before = _log.level
  if _log.getEffectiveLevel() == logging.INFO:
    _log.setLevel(logging.WARNING)
  try:
    yield
  finally:
    _log.setLevel(before)
