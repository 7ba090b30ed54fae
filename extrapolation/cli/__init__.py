"""What the commands share: flags, `--config.KEY=VALUE`, errors in one line."""

import os
import sys
import textwrap
from collections.abc import Callable

from extrapolation.cli import flags
from extrapolation.output import exit_codes


def parser(doc: str) -> flags.Parser:
  """A parser whose help says what the command is and which encodings exist."""
  from extrapolation import rpe  # brings jax, which takes half a second

  known = 'encodings (--config.model.rpe=NAME): ' + ', '.join(rpe.names())
  return flags.Parser(doc, epilog=textwrap.fill(known, 79))


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
  main: Callable[[list[str]], None], argv: list[str] | None = None
) -> None:
  """Runs a command; an error the user can mend is one line and exit code 2.

  An error with an `exit_code` of its own, such as a lost process, ends with it.
  """
  try:
    main(sys.argv[1:] if argv is None else argv)
  except (ValueError, OSError, FloatingPointError) as e:
    if os.environ.get('EXTRAPOLATION_TRACEBACK'):
      raise
    print(f'error: {e}', file=sys.stderr)
    print('(EXTRAPOLATION_TRACEBACK=1 shows where)', file=sys.stderr)
    sys.exit(getattr(e, 'exit_code', exit_codes.USAGE))
  except SystemExit as e:
    if text := getattr(e, 'text', ''):  # why, of one that ends in good order
      print(text, file=sys.stderr)
    raise
  except KeyboardInterrupt:
    print('interrupted', file=sys.stderr)
    sys.exit(exit_codes.INTERRUPTED)
