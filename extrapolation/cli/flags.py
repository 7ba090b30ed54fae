"""Flags of a command, whose mistakes are reported in one line."""

import argparse
import difflib
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from extrapolation.cli import values
from extrapolation.output import exit_codes, logs

T = TypeVar('T')


class Parser(argparse.ArgumentParser):
  """Help as it is written; errors of one line, with the nearest flag."""

  def __init__(self, description: str, **options: Any):
    super().__init__(
      prog=_command(sys.argv[0]),
      description=description,
      allow_abbrev=False,
      formatter_class=argparse.RawDescriptionHelpFormatter,
      **options,
    )
    # Numbers as people write them, and errors that say how.
    for kind, read in ((int, values.whole), (float, values.real)):
      self.register('type', kind, checked(read))
    self.add_argument('--verbose', action='store_true', help='say more')

  def parse_args(  # pyrefly: ignore[bad-override]
    self, args: Sequence[str] | None = None, namespace: Any = None
  ) -> Any:
    """The flags, without --verbose, which is carried out here."""
    parsed = super().parse_args(args, namespace)
    logs.setup(parsed.__dict__.pop('verbose'))
    return parsed

  def _get_values(self, action: argparse.Action, arg_strings: list) -> Any:
    # Before Python 3.13 the value of --flag=-- is dropped as a mark of its own.
    if action.option_strings and action.nargs is None and arg_strings == ['--']:
      value = self._get_value(action, '--')
      self._check_value(action, value)
      return value
    return super()._get_values(action, arg_strings)

  def error(self, message: str) -> NoReturn:
    start, _, words = message.partition('unrecognized arguments: ')
    if not start and words.startswith('-'):
      flags = [f for a in self._actions for f in a.option_strings]
      own = words.split()[0].partition('=')[0]
      if close := difflib.get_close_matches(own, flags, 1):
        message += f'; did you mean {close[0]}?'
    flag, said, _ = message.removeprefix('argument ').partition(': expected ')
    if said and flag.startswith('-'):
      message += f'; a value that begins with - is written {flag}=VALUE'
    self.exit(exit_codes.USAGE, f'error: {message} (see --help)\n')


def checked(read: Callable[[str], T]) -> Callable[[str], T]:
  """`read` as the type of a flag, whose ValueError is its error as it is."""

  def convert(text: str) -> T:
    try:
      return read(text)
    except ValueError as e:
      raise argparse.ArgumentTypeError(str(e)) from None

  return convert


items = checked(functools.partial(values.items, spaces=True))
wholes = checked(values.wholes)


def _command(path: str) -> str:
  """How the program at `path` is started."""
  file = pathlib.Path(path)
  package = pathlib.Path(__file__).resolve().parents[1]
  if file.suffix == '.py' and file.resolve().is_relative_to(package):
    inner = file.resolve().relative_to(package.parent).with_suffix('')
    return 'python -m ' + '.'.join(p for p in inner.parts if p != '__main__')
  return f'python launch/{file.name}' if file.parent.name == 'launch' else (
    file.name
  )  # fmt: skip
