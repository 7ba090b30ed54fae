"""A run is a folder: config.json, metrics.jsonl, checkpoints/, tensorboard/."""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import time

import flax
import jax
import numpy as np
from ml_collections import ConfigDict

from extrapolation import config as config_lib
from extrapolation import data, lease
from extrapolation import model as model_lib
from extrapolation.checkpoint import Checkpoints

# The sections of a config that decide what is trained.
TRAINED_BY = ('seed', 'data', 'model', 'optim', 'train')


def write_json(path: pathlib.Path, value: dict) -> None:
  """Writes the whole file or nothing."""
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  temporary.write_text(json.dumps(value, indent=2) + '\n')
  temporary.replace(path)


def load_config(workdir: str, name: str = 'config.json') -> ConfigDict:
  """The config a run was made with."""
  path = pathlib.Path(workdir) / name
  try:
    text = path.read_text()
  except OSError as e:
    raise FileNotFoundError(
      f'{workdir!r} is not the folder of a run: {path} cannot be read '
      f'({e.strerror}); make one with python -m extrapolation.train'
    ) from None
  return ConfigDict(_tuples(json.loads(text))).lock()


def _tuples(value):
  """JSON knows lists where a config has tuples."""
  if isinstance(value, dict):
    return {k: _tuples(v) for k, v in value.items()}
  return tuple(value) if isinstance(value, list) else value


def same_config(workdir: str, c: ConfigDict) -> None:
  """Raises ValueError, with the keys that differ, unless the run is of `c`.

  The sections `eval` and `sweep` do not make a run another one.
  """
  theirs, ours = load_config(workdir).to_dict(), c.to_dict()
  different = config_lib.differences(
    {k: theirs[k] for k in TRAINED_BY}, {k: ours[k] for k in TRAINED_BY}
  )
  if different:
    raise ValueError(
      f'{workdir!r} holds a run of another config; give another --workdir. '
      'Keys that differ (there -> here): ' + '; '.join(different)
    )


def claim(workdir: str, c: ConfigDict, held: lease.Lease | None = None):
  """Makes or reopens the folder of a run; refuses that of another config.

  Returns a context with the lease on the folder: `held`, if the caller has it,
  or one that ends with the context or the process.

  Raises:
    ValueError: the folder holds another config; says which keys differ.
    OSError: it cannot be written, or another process is working in it.
  """
  folder = pathlib.Path(workdir)
  if (folder / 'config.json').exists():
    same_config(workdir, c)
  elif folder.is_dir() and any(p.name[0] != '.' for p in folder.iterdir()):
    raise ValueError(
      f'{workdir!r} is not empty and not the folder of a run '
      '(no config.json); give another --workdir'
    )
  try:
    mine = held or lease.wait(workdir)
  except lease.Held:
    raise
  except OSError as e:
    raise OSError(
      f'cannot write in {workdir!r}: {e.strerror}; give another --workdir'
    ) from None
  try:
    if (folder / 'config.json').exists():  # it may be new since the last look
      same_config(workdir, c)
    write_json(folder / 'config.json', c.to_dict())  # `eval` may be new
  except BaseException:
    if not held:
      mine.close()
    raise
  return contextlib.nullcontext(mine) if held else mine


def same_text(workdir: str, manifest: dict) -> None:
  """Records which text a run reads; from then on refuses any other.

  Raises:
    ValueError: the text has changed since the run began.
  """
  path = pathlib.Path(workdir) / 'data.json'
  if not path.exists():
    write_json(path, manifest)
    return
  theirs = json.loads(path.read_text())
  for split, about in theirs['splits'].items():
    now = manifest['splits'].get(split, {'tokens_sha256': 'absent'})
    if now['tokens_sha256'] != about['tokens_sha256']:
      raise ValueError(
        f'the {split} text of {theirs["source"]} is not the one that '
        f'{workdir!r} began with (Python {theirs["python"]} then, '
        f'{manifest["python"]} now; sha256 in data.json): restore it, or '
        'train in another --workdir'
      )


def write_rpe(workdir: str, when: str, model, params: dict, T: int) -> None:
  """Writes the encoding's parameters in the units of its formula to rpe.json.

  `when` is 'init' or 'final'. Values have a leading axis of layers if each
  layer has its own. Theory reads this file and no checkpoint.
  """
  path = pathlib.Path(workdir) / 'rpe.json'
  known = json.loads(path.read_text()) if path.exists() else {}
  c = model.config
  rows = slice(None) if c.rpe_per_layer else 0
  values = {
    k: np.asarray(v)[rows].tolist() for k, v in model.rpe_params(params).items()
  }
  about = dict(name=c.rpe, H=c.H, hyper=c.rpe_args, train_length=T)
  write_json(path, {**known, **about, when: values})


@dataclasses.dataclass(frozen=True)
class Trained:
  """What a finished, or half finished, run holds."""

  config: ConfigDict
  model: model_lib.Model
  params: dict
  step: int
  text: data.Dataset


def load(workdir: str, step: int | None = None, say=print) -> Trained:
  """The newest sound checkpoint of a run, or that of `step`, and its text.

  Raises:
    ValueError: not a run, no such step, or text that has changed.
    OSError: no checkpoint that is sound.
  """
  c = load_config(workdir)
  text = data.prepare(**config_lib.bind('data', data.prepare, c.data))
  same_text(workdir, text.manifest)
  model = model_lib.make(
    text.tokenizer.V, **config_lib.bind('model', model_lib.Config, c.model)
  )
  like = jax.eval_shape(model.init, jax.random.key(0))
  found = Checkpoints(workdir, read_only=True).restore(
    {'params': like}, step, say
  )
  if found is None:
    raise FileNotFoundError(f'no complete checkpoint in {workdir!r} yet')
  at, items, _ = found
  return Trained(c, model, items['params'], at, text)


def provenance() -> dict[str, str]:
  """Where a number was made: commit, device, versions."""
  git = subprocess.run(
    ['git', '-C', os.path.dirname(__file__), 'describe', '--always', '--dirty'],
    capture_output=True, text=True, check=False,
  )  # fmt: skip
  return dict(
    commit=git.stdout.strip() or 'unknown',
    device=f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    versions=f'python {platform.python_version()}, jax {jax.__version__}, '
    f'flax {flax.__version__}',
  )


class Metrics:
  """Rows by step: metrics.jsonl is the truth, TensorBoard mirrors it."""

  def __init__(self, workdir: str, step: int):
    """Continues after `step`; rows of later steps are about to be redone."""
    from tensorboardX import SummaryWriter

    path = pathlib.Path(workdir) / 'metrics.jsonl'
    if path.exists():
      kept = [row for row in read_metrics(workdir) if row['step'] <= step]
      temporary = path.with_suffix('.tmp')
      temporary.write_text(''.join(json.dumps(row) + '\n' for row in kept))
      temporary.replace(path)
    self.file = open(path, 'a')  # noqa: SIM115
    self.board = SummaryWriter(
      str(pathlib.Path(workdir) / 'tensorboard'), purge_step=step + 1
    )

  def write(self, step: int, **values: float) -> None:
    self.file.write(json.dumps({'step': step, **values}) + '\n')
    self.file.flush()
    for name, value in values.items():
      self.board.add_scalar(name, value, step, walltime=time.time())

  def close(self) -> None:
    self.file.close()
    self.board.close()


def read_metrics(workdir: str) -> list[dict]:
  """The rows of metrics.jsonl; a last line cut off by a kill is dropped."""
  rows = []
  for line in (
    (pathlib.Path(workdir) / 'metrics.jsonl').read_text().splitlines()
  ):
    try:
      rows.append(json.loads(line))
    except ValueError:
      break
  return rows
