"""A recorded study: what a finished sweep measured, and of which models."""

import dataclasses
import hashlib
import logging
import math
import pathlib
from collections.abc import Sequence

from extrapolation import config, rpe
from extrapolation.data import probes
from extrapolation.output import table
from extrapolation.predict import weights
from extrapolation.predict.outcome import Outcome
from extrapolation.predict.weights import Weights
from extrapolation.runs import run_folder

log = logging.getLogger(__name__)

TABLE = 'sweep.csv'
NEEDED = ('rpe', 'seed', 'train_length', 'length', 'ppl')


@dataclasses.dataclass(frozen=True)
class Study:
  """A folder with the table of a sweep.

  Attributes:
    name: of the folder.
    sha256: of its table.
    e: the config of its runs.
    outcomes: of encodings that have a far mass.
    left_out: why, of the others.
  """

  name: str
  sha256: str
  e: config.Experiment
  outcomes: Sequence[Outcome]
  left_out: dict[str, str]

  def about(self) -> dict:
    """What the law says of it."""
    of = self.outcomes
    return dict(
      study=self.name,
      sha256=self.sha256,
      corpus=self.e.data.source,
      tokenizer=self.e.data.tokenizer,
      size=size(self.e.model),
      **sizes(self.e),
      lengths=sorted({one.length for one in of}),
      rows=len(of),
      runs=len({(one.encoding, one.seed) for one in of}),
      seeds=sorted({one.seed for one in of}),
      encodings=list(dict.fromkeys(one.encoding for one in of)),
      left_out=self.left_out,
    )


def size(m: config.Network) -> str:
  """A model as tables name it."""
  return f'N={m.N} D={m.D} H={m.H} F={m.F}'


def sizes(e: config.Experiment) -> dict[str, int]:
  """Of a model, in parameters of its layers' matrices, and of its training."""
  m, t = e.model, e.train
  return dict(
    parameters=m.N * (4 * m.D**2 + 2 * m.D * m.F),
    train_length=t.T,
    train_tokens=t.steps * t.B * t.T,
  )


def recorded() -> list[str]:
  """The studies of this checkout: folders in results/ that have a config.

  Raises:
    ValueError: there is none, as in an installed package.
  """
  root = pathlib.Path(__file__).parents[2] / 'results'
  folders = sorted(str(path.parent) for path in root.glob(f'**/{TABLE}'))
  if not (out := [folder for folder in folders if _has_config(folder)]):
    raise ValueError(
      f'no recorded studies in {root}; give --studies=DIR,.. of finished sweeps'
    )
  return out


def read_all(folders: Sequence[str]) -> list[Study]:
  """The studies in folders; a run that is in several counts in the first.

  The id of a run says nothing of its text: one of another corpus is another.

  Raises:
    ValueError: as `read`.
  """
  out: list[Study] = []
  known: dict[tuple[str, str], str] = {}
  for folder in folders:
    one = read(folder)
    in_ = {x.run: known.get((x.run, x.corpus), '') for x in one.outcomes}
    left_out = one.left_out | {
      f'run {run}': f'it is in {study}, too'
      for run, study in in_.items()
      if study
    }
    rest = [x for x in one.outcomes if not in_[x.run]]
    known |= {(x.run, x.corpus): one.name for x in rest if x.run}
    out.append(dataclasses.replace(one, outcomes=rest, left_out=left_out))
  return out


def read(folder: str) -> Study:
  """The study in a folder.

  Its config is the sweep.json in it, or the packaged one of its name.

  Raises:
    ValueError: no such table or config, in one line.
  """
  path = pathlib.Path(folder)
  try:
    raw = (path / TABLE).read_bytes()
    rows = table.read(path / TABLE)
  except OSError as e:
    raise ValueError(
      f'{folder!r} is no study: {path / TABLE} cannot be read '
      f'({e.strerror or e}); give the folder of a finished sweep'
    ) from None
  lacks = [key for key in NEEDED if not rows or key not in rows[0]]
  if lacks:
    raise ValueError(
      f'{path / TABLE} is no table of a sweep: it lacks {", ".join(lacks)}'
    )
  e = config_of(folder)
  outcomes, left_out = [], {}
  for label in dict.fromkeys(row['rpe'] for row in rows):
    own = [row for row in rows if row['rpe'] == label]
    of = weights_of(label, e.model, max(row['length'] for row in own))
    if e.data.source.startswith(probes.PREFIX):
      left_out[label] = 'its perplexity is of answers to a probe, not of text'
    elif of.why:
      left_out[label] = of.why
    else:
      outcomes += _outcomes(path.name, label, e, own, of)
  sha256 = hashlib.sha256(raw).hexdigest()
  return Study(path.name, sha256, e, outcomes, left_out)


def _has_config(folder: str) -> bool:
  try:
    config_of(folder)
  except ValueError:
    return False
  return True


def config_of(folder: str) -> config.Experiment:
  """Its sweep.json, or the packaged config of its name.

  Raises:
    ValueError: there is neither.
  """
  path = pathlib.Path(folder)
  if (path / 'sweep.json').exists():
    return run_folder.load_config(str(path), 'sweep.json')
  try:
    return config.load(path.resolve().name)
  except ValueError:
    raise ValueError(
      f'{str(path)!r} does not say what its models are: no sweep.json in it, '
      f'and no config called {path.resolve().name!r}'
    ) from None


def weights_of(label: str, m: config.Model, n: int) -> Weights:
  """Those of an encoding as a table names it."""
  if ' ' in label:
    return Weights(why='its runs are a grid of settings')
  try:
    name, texts = rpe.parse(label)
    hyper = rpe.typed(name, texts, rpe.defaults(name))
    return weights.read(name, hyper, m.H, m.N, n)
  except ValueError as error:
    return Weights(why=str(error))


def _outcomes(
  study: str,
  label: str,
  e: config.Experiment,
  rows: Sequence[dict],
  of: Weights,
) -> list[Outcome]:
  out, far = [], {}
  at_train = {
    row['seed']: row['ppl'] for row in rows if row['length'] == e.train.T
  }
  for row in rows:
    n, seed, L = row['length'], row['seed'], row['train_length']
    if n <= L or L != e.train.T or seed not in at_train:
      continue
    if not (0 < row['ppl'] < math.inf and 0 < at_train[seed] < math.inf):
      log.warning(
        '%s: %s, seed %s: perplexity is not finite', study, label, seed
      )
      continue
    nats = math.log(row['ppl'] / at_train[seed])
    if n not in far:
      far[n] = of.far_mass(n, L)
    out.append(
      Outcome(
        study=study,
        encoding=label,
        seed=seed,
        length=n,
        far_mass=far[n],
        nats=nats,
        learned=of.learned,
        corpus=e.data.source,
        size=size(e.model),
        ratio=n / L,
        run=row.get('run', ''),
      )
    )
  return out
