"""What a sweep does: it writes a prediction before its first run is trained."""

import logging
import pathlib

from extrapolation import config
from extrapolation.predict import law, predicted, record
from extrapolation.runs import identity

log = logging.getLogger(__name__)


def register(workdir: str, e: config.Experiment) -> None:
  """Leaves prediction.json in the folder of a sweep whose runs have not begun.

  One that is there is kept. What cannot be predicted does not stop a sweep.

  Raises:
    signed.Damaged: the one that is there was changed.
  """
  if (pathlib.Path(workdir) / record.NAME).exists():
    there = record.read(workdir)
    runs = {one.run for one in there.predicted}
    new = [
      label
      for label, one in predicted.experiments(e).items()
      if identity.run_id(one) not in runs
    ]
    if new:
      log.info(
        '%s is of %s and says nothing of %s', record.NAME, there.time,
        ', '.join(new),
      )  # fmt: skip
    return
  if late := record.begun(workdir):
    log.info('no prediction: written after training, as %s has begun', late[0])
    return
  try:
    known = law.read()
    made = record.write(workdir, record.make(e, known, predicted.of(e, known)))
  except (ValueError, OSError) as error:
    text = str(error)
    log.info('%s', text if text.startswith('no ') else f'no prediction: {text}')
    return
  log.info(
    'predicted %d encodings before training, %s: %s',
    len(made.predicted), record.NAME, made.sha256,
  )  # fmt: skip
