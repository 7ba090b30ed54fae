"""prediction.json: what was predicted, by which law and when, with its hash.

The hash tells one prediction from another, and finds what was changed after
it was made known. It is no proof of the time: publish it, if others are to
believe that it was there before the runs.
"""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from extrapolation import config
from extrapolation.output import files, plain_file, signed
from extrapolation.predict.law import Law
from extrapolation.predict.predicted import AtLength, Predicted
from extrapolation.runs import environment, identity

NAME = 'prediction.json'
FORMAT = 1
HASH = 'sha256'
# What is in the folder of a run from its first step on.
TRAINED = 'metrics.jsonl', 'checkpoints', 'eval'
# What two records of one prediction may differ in.
WHEN = ('time', 'version', 'commit', HASH)


@dataclasses.dataclass(frozen=True)
class Record:
  """A prediction as it was registered.

  Attributes:
    time: of the registration, UTC, ISO 8601.
    law: digest, file, level of its intervals and its errors.
    config: identity of the config, with what it says of the runs.
    predicted: of every encoding.
    sha256: of all of it, 64 hex digits.
  """

  time: str
  version: str
  commit: str
  config: dict[str, Any]
  law: dict[str, Any]
  predicted: Sequence[Predicted]
  sha256: str = ''

  @property
  def body(self) -> dict[str, Any]:
    """As the file holds it, with the hash."""
    out = dict(format=FORMAT) | dataclasses.asdict(self)
    out = json.loads(json.dumps(out))  # lists in place of tuples, as read
    out[HASH] = sha256(out)
    return out


def sha256(body: dict[str, Any]) -> str:
  """64 hex digits of a body without its hash, whatever the order of keys."""
  rest = {key: value for key, value in body.items() if key != HASH}
  text = json.dumps(rest, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode()).hexdigest()


def make(
  e: config.Experiment, law: Law, predicted: Sequence[Predicted]
) -> Record:
  """The record of what is predicted now."""
  about = dict(
    identity=_identity(e),
    source=e.data.source,
    seeds=list(e.sweep.seeds),
    lengths=list(e.eval.lengths),
    train_length=e.train.T,
  )
  of_law = dict(
    digest=law.digest,
    file=os.path.basename(law.path),
    form=law.form,
    coefficients=list(law.at),
    level=law.level,
    errors=dict(law.errors),
    gap=dataclasses.asdict(law.gap),
  )
  made = Record(**origin(), config=about, law=of_law, predicted=predicted)
  return dataclasses.replace(made, sha256=made.body[HASH])


def origin() -> dict[str, str]:
  """When something is made, and by what."""
  now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  return dict(time=now, version=_version(), commit=environment.commit())


def _version() -> str:
  """Of this package; 'unknown' where it is not installed."""
  try:
    return importlib.metadata.version('extrapolation')
  except importlib.metadata.PackageNotFoundError:
    return 'unknown'


def _identity(e: config.Experiment) -> str:
  """The same for all configs that train and evaluate alike, encodings aside."""
  chosen = identity.trained_by(e) | dict(eval=e.to_dict()['eval'])
  for key in ('rpe', 'rpe_args'):
    del chosen['model'][key]
  del chosen['seed']
  return signed.digest(chosen)


def read(folder: str | os.PathLike) -> Record:
  """The prediction in a folder.

  Raises:
    FileNotFoundError: there is none.
    signed.Damaged: it is not what was written, in one line.
  """
  path = pathlib.Path(folder) / NAME
  body = signed.parse(plain_file.read(path), str(path))
  if body.get(HASH) != sha256(body):
    raise signed.Damaged(
      f'{path} was changed after it was written (its {HASH} does not fit): '
      'restore it, or move it away'
    )
  try:
    if body.pop('format') != FORMAT:
      raise ValueError('it is of another format')
    predicted = []
    for one in body.pop('predicted'):
      lengths = [AtLength(**at) for at in one.pop('lengths')]
      predicted.append(Predicted(**one, lengths=lengths))
    return Record(**body, predicted=predicted)
  except (KeyError, TypeError, ValueError, AttributeError) as e:
    raise signed.Damaged(f'{path} is no prediction ({e}): restore it') from None


def write(folder: str | os.PathLike, made: Record) -> Record:
  """Registers a prediction in a folder; the same one that is there stays.

  Returns:
    The record that is there now, with the time of the first.

  Raises:
    ValueError: another prediction is there, or runs have begun.
    OSError: it cannot be written.
  """
  path = pathlib.Path(folder) / NAME
  if path.exists():
    there = read(folder)
    if other := differs(there, made):
      raise ValueError(
        f'{path} holds another prediction, of {there.time} ({", ".join(other)} '
        'differ), which is not replaced: move it away, or give another --out'
      )
    return there
  if late := begun(folder):
    raise ValueError(
      f'written after training: {len(late)} runs in {str(folder)!r} have begun '
      f'({late[0]}), and what is written now is no prediction of them; give '
      '--out=DIR to write it elsewhere'
    )
  files.writable(folder)
  files.write_json(path, made.body)
  return made


def differs(there: Record, made: Record) -> list[str]:
  """The keys in which two predictions differ, their time aside."""
  old, new = there.body, made.body
  return [key for key in new if key not in WHEN and old[key] != new[key]]


def begun(folder: str | os.PathLike) -> list[str]:
  """Names of the runs in the folder of a sweep that are, or were, trained."""
  paths = (
    p for name in TRAINED for p in pathlib.Path(folder).glob(f'*/{name}')
  )
  return sorted({path.parent.name for path in paths})
