"""A mirror of the metrics for TensorBoard, which may break; the run does not.

tensorboardX's SummaryWriter hands events to a thread of its own. When that dies
of an error, its queue fills and the caller waits for ever; so events are
written here, by the caller, who sees the error.
"""

import logging
import os
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Mirror:
  """Scalars by step, as event files in a folder, as long as that goes well."""

  def __init__(self, folder: str, step: int):
    """Continues after `step`; TensorBoard hides what it knows of later ones."""
    self.folder, self.writer = folder, None
    try:
      from tensorboardX.event_file_writer import EventsWriter
      from tensorboardX.proto import event_pb2

      os.makedirs(folder, exist_ok=True)
      # Another process may have begun in the same second.
      self.writer = EventsWriter(
        os.path.join(folder, 'events'), f'.{os.getpid()}'
      )
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._add(step=step + 1, session_log=start)
    except Exception as e:
      self._give_up(e)

  def _add(self, **event: object) -> None:
    from tensorboardX.proto import event_pb2

    if self.writer:
      self.writer.write_event(event_pb2.Event(wall_time=time.time(), **event))
      self.writer.flush()

  def write(self, step: int, values: Mapping[str, float]) -> None:
    if not self.writer:
      return
    try:
      from tensorboardX.summary import scalar

      for name, value in values.items():
        self._add(step=step, summary=scalar(name, value))
    except Exception as e:
      self._give_up(e)

  def _give_up(self, error: Exception) -> None:
    log.warning(
      'TensorBoard gets no more events in %r: %s: %s; the run goes on, its '
      'metrics are in metrics.jsonl', self.folder, type(error).__name__, error,
    )  # fmt: skip
    self.close()

  def close(self) -> None:
    writer, self.writer = self.writer, None
    if writer:
      try:
        writer.close()
      except Exception as e:  # said before, or of no use any more
        log.debug('closing %r: %s', self.folder, e)
