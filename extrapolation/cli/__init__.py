"""What the commands share: flags, `--config.KEY=VALUE`, errors in one line."""

import contextlib
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator

from extrapolation.cli import flags, platform
from extrapolation.output import exit_codes, streams


def parser(doc: str, encodings: Iterable[str] = ()) -> flags.Parser:
  """A parser whose help says what the command is, and which encodings exist."""
  known = 'encodings (--config.model.rpe=NAME, or FILE.py of your own): '
  epilog = textwrap.fill(known + ', '.join(encodings), 79) if encodings else ''
  return flags.Parser(doc, epilog=epilog)


def split_overrides(argv: list[str]) -> tuple[list[str], dict[str, str]]:
  """Splits `--config.KEY=VALUE` (or `--config.KEY VALUE`) from other flags."""
  rest, overrides = [], {}
  words = iter(argv)
  for word in words:
    if not word.startswith('--config.'):
      rest.append(word)
      continue
    key, equals, value = word.removeprefix('--config.').partition('=')
    if not equals:
      value = next(words, None)
      if value is None or value.startswith('--'):
        raise ValueError(f'--config.{key} needs a value: --config.{key}=VALUE')
    overrides[key] = value
  return rest, overrides


def run(
  main: Callable[[list[str]], None],
  argv: list[str] | None = None,
  prints: bool = False,
) -> None:
  """Runs a command; an error the user can mend is one line and exit code 2.

  An error with an `exit_code` of its own, such as a lost process, ends with it.
  Where the reader of its output leaves, a command goes on with its work, unless
  it only `prints`; then it ends at once, as other tools do.
  """
  streams.setup()
  try:
    with _sigpipe() if prints else contextlib.nullcontext():
      main(sys.argv[1:] if argv is None else argv)
  except (ValueError, OSError, FloatingPointError) as e:
    if isinstance(e, BrokenPipeError) and streams.unread():
      sys.exit(exit_codes.UNREAD)
    _report(e, str(e))
    sys.exit(getattr(e, 'exit_code', exit_codes.USAGE))
  except (RuntimeError, AssertionError) as e:
    if not (why := platform.missing(e)):
      raise
    _report(e, why)
    sys.exit(exit_codes.USAGE)
  except SystemExit as e:
    if text := getattr(e, 'text', ''):  # why, of one that ends in good order
      streams.line(text, sys.stderr)
    raise
  except KeyboardInterrupt:
    streams.line('interrupted', sys.stderr)
    sys.exit(exit_codes.INTERRUPTED)
  if streams.unread():
    sys.exit(exit_codes.UNREAD)


def _report(e: Exception, text: str) -> None:
  if os.environ.get('EXTRAPOLATION_TRACEBACK'):
    raise e
  streams.line(f'error: {text}', sys.stderr)
  streams.line('(EXTRAPOLATION_TRACEBACK=1 shows where)', sys.stderr)


@contextlib.contextmanager
def _sigpipe() -> Iterator[None]:
  """Within it SIGPIPE ends the process, as it does where no Python runs."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
  try:
    yield
    sys.stdout.flush()
  finally:
    signal.signal(signal.SIGPIPE, before)
