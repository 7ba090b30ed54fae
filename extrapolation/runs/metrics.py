"""The metrics of a run by step: metrics.jsonl, mirrored by TensorBoard."""

import json
import os

from etils import epath

from extrapolation.output import files, plain_file, signed
from extrapolation.runs.tensorboard import Mirror

FILE = 'metrics.jsonl'


class Metrics:
  """Rows by step: metrics.jsonl is the truth, TensorBoard mirrors it.

  On an object store, which cannot append, rows are kept until `flush`, and
  nothing is mirrored.
  """

  def __init__(self, workdir: str, step: int):
    """Continues after `step`; rows of later steps are about to be redone.

    Raises:
      signed.Damaged: the rows that are there are damaged.
    """
    self.path = epath.Path(workdir) / FILE
    self.file = self.mirror = None
    kept = []
    if self.path.exists():
      kept = [row for row in read_metrics(workdir) if row['step'] <= step]
      files.write_text(self.path, ''.join(map(_line, kept)))
    if files.is_local(workdir):
      if not self.path.exists():
        files.write_text(self.path, '')
      self.file = open(self.path, 'a')  # noqa: SIM115
      self.mirror = Mirror(os.path.join(workdir, 'tensorboard'), step)
    self.kept = [] if self.file else kept

  def write(self, step: int, **values: float) -> None:
    row = {'step': step, **values}
    if not self.file or not self.mirror:
      self.kept.append(row)
      return
    self.file.write(_line(row))
    self.file.flush()
    self.mirror.write(step, values)

  def flush(self) -> None:
    """All rows are on the disk, before a checkpoint says that they are."""
    if self.file:
      self.file.flush()
      os.fsync(self.file.fileno())
    elif self.kept:
      self.path.write_text(''.join(map(_line, self.kept)))

  def close(self) -> None:
    if self.mirror:
      self.mirror.close()
    self.flush()
    if self.file:
      self.file.close()


def _line(row: dict) -> str:
  return json.dumps(signed.sign(row)) + '\n'


def read_metrics(workdir: str) -> list[dict]:
  """The rows of metrics.jsonl.

  A last line without an end was cut off by a kill, and is dropped.

  Raises:
    signed.Damaged: any other line that is not what was written, by its number.
    OSError: there is no such file, or it cannot be read.
  """
  path = epath.Path(workdir) / FILE
  *lines, _ = plain_file.read(path).split(b'\n')
  rows = []
  for i, line in enumerate(lines, 1):
    row = signed.parse(line, f'{path}, line {i},')
    last = rows[-1]['step'] if rows else -1
    if not isinstance(row.get('step'), int) or row['step'] <= last:
      raise signed.Damaged(
        f'{path}, line {i}, is damaged: its step is {row.get("step")!r} after '
        f'{last}; restore it'
      )
    rows.append(row)
  return rows
