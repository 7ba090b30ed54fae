"""The tables of a run's evaluations, which grow by length, step and setting."""

import contextlib
import fcntl
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from etils import epath

from extrapolation import config, rpe
from extrapolation.output import files, signed, table

log = logging.getLogger(__name__)

# Rows that agree in these are of the same evaluation: the newer one stays.
KEY = ('run', 'length', 'size', 'step', 'targets', 'within_documents')
# What a row has that was written before there was such a column. Windows were
# of one stream, whatever training read.
BEFORE = dict(within_documents=0)


def path(
  workdir: str,
  s: config.Eval,
  source: str = '',
  out: str = '',
  encoding: str = '',
) -> pathlib.Path | epath.Path:
  """Where `evaluate` writes its table; the figures lie beside it.

  Args:
    source: of the text, if it is not the run's own.
    out: a folder in place of the run's own, `DIR/eval`.
    encoding: another than the run was trained with.
  """
  name = f'{s.split}-{s.protocol}'
  name += f'-window-{s.window}' if s.window != 'full' else ''
  name = name.replace(':', '-')
  if source:
    name += f'-{re.sub(r"[^A-Za-z0-9]+", "-", source)[-40:].strip("-")}'
    name += f'-{signed.digest(source)[:6]}'
  if encoding:
    name += f'-as-{rpe.folder_name(encoding)}'
  kind = pathlib.Path if files.is_local(out or workdir) else epath.Path
  folder = kind(out).expanduser() if out else kind(workdir) / 'eval'
  return folder / f'{name}.csv'


def read(
  workdir: str, s: config.Eval, step: int, run: str, within: bool
) -> list[dict]:
  """The rows of a run on its own text, by the settings and at a step.

  within: those whose windows lie within documents, or else of one stream.

  A table of before there were `targets` and `run` in it has those it has; one
  of before there was `within_documents` has windows of one stream.

  Raises:
    signed.Damaged: the table is not what was written.
    OSError: there is none, or it cannot be read.
  """
  want = dict(run=run, step=step, targets=s.tokens)
  want |= dict(within_documents=int(within))
  return [
    row
    for row in table.read(path(workdir, s))
    if row.get('length') in s.lengths
    and all(_cell(row, key) in ('', value) for key, value in want.items())
  ]


@contextlib.contextmanager
def turn(at: pathlib.Path | epath.Path) -> Iterator[None]:
  """Waits until no other evaluation writes the table, where there are locks."""
  if not files.is_local(at):
    yield
    return
  how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
  lock = os.open(at.parent / '.lock', how, 0o666)
  try:
    with contextlib.suppress(OSError):  # a file system without locks
      fcntl.flock(lock, fcntl.LOCK_EX)
    yield
  finally:
    os.close(lock)


def merged(
  at: pathlib.Path | epath.Path,
  rows: Sequence[dict],
  key: Sequence[str] = KEY,
) -> list[dict]:
  """These rows, and those of the table at a path that they do not replace.

  Those that agree in the columns `key` are replaced.
  """
  new = {_key(row, key) for row in rows}
  new |= {_key(row | dict(run='', targets=''), key) for row in rows}
  try:
    old = table.read(at) if at.exists() else []
  except signed.Damaged as e:
    log.warning('%s; it is written anew', e)
    old = []
  kept = [row for row in old if _key(row, key) not in new]
  return sorted([*kept, *rows], key=lambda r: (r['step'], r['length']))


def alike(row: dict, other: dict) -> bool:
  """Whether two rows of a run may stand in one figure over length."""
  keys = ('step', 'targets', 'within_documents')
  return all(_cell(row, key) == _cell(other, key) for key in keys)


def _key(row: dict, names: Sequence[str]) -> tuple[str, ...]:
  # As text: a size of one number is read back from CSV as a number.
  return tuple(str(_cell(row, name)) for name in names)


def _cell(row: dict, name: str) -> int | str:
  """Of a row of before there was such a column, what it would say."""
  value = row.get(name, '')
  return BEFORE.get(name, '') if value == '' else value
