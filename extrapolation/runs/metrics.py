"""The metrics of a run by step: metrics.jsonl, mirrored by TensorBoard."""

import json
import time

from etils import epath

from extrapolation.output import files


class Metrics:
  """Rows by step: metrics.jsonl is the truth, TensorBoard mirrors it.

  On an object store, which cannot append, rows are kept until `flush`, and
  nothing is mirrored.
  """

  def __init__(self, workdir: str, step: int):
    """Continues after `step`; rows of later steps are about to be redone."""
    self.path = epath.Path(workdir) / 'metrics.jsonl'
    self.file = self.board = None
    kept = []
    if self.path.exists():
      kept = [row for row in read_metrics(workdir) if row['step'] <= step]
      files.write_text(
        self.path, ''.join(json.dumps(row) + '\n' for row in kept)
      )
    if files.is_local(workdir):
      from tensorboardX import SummaryWriter

      self.file = open(self.path, 'a')  # noqa: SIM115
      self.board = SummaryWriter(
        str(epath.Path(workdir) / 'tensorboard'), purge_step=step + 1
      )
    self.kept = [] if self.file else kept

  def write(self, step: int, **values: float) -> None:
    row = {'step': step, **values}
    if not self.file or not self.board:
      self.kept.append(row)
      return
    self.file.write(json.dumps(row) + '\n')
    self.file.flush()
    for name, value in values.items():
      self.board.add_scalar(name, value, step, walltime=time.time())

  def flush(self) -> None:
    """All rows are in the file, before a checkpoint says that they are."""
    if self.kept:
      lines = ''.join(json.dumps(row) + '\n' for row in self.kept)
      self.path.write_text(lines)

  def close(self) -> None:
    self.flush()
    if self.file and self.board:
      self.file.close()
      self.board.close()


def read_metrics(workdir: str) -> list[dict]:
  """The rows of metrics.jsonl; a last line cut off by a kill is dropped."""
  rows = []
  path = epath.Path(workdir) / 'metrics.jsonl'
  for line in path.read_text().splitlines():
    try:
      rows.append(json.loads(line))
    except ValueError:
      break
  return rows
