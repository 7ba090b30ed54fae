"""A run is a folder: config.json, metrics.jsonl, checkpoints/, tensorboard/."""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import tempfile
import time

import flax
import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from extrapolation import config as config_lib
from extrapolation import data, lease, multihost, parallel
from extrapolation import model as model_lib
from extrapolation.checkpoint import Checkpoints

# The sections of a config that decide what is trained.
TRAINED_BY = ('seed', 'data', 'model', 'optim', 'train')


def is_local(workdir: str | os.PathLike) -> bool:
  """False for an object store, which knows no locks and no appending."""
  return '://' not in str(workdir)


def folder(workdir: str) -> epath.Path:
  """The folder of a run; raises ValueError if nothing here can open it."""
  path = epath.Path(workdir)
  try:
    path.exists()
  except ImportError as e:
    raise ValueError(f'--workdir={workdir}: {e}') from None
  return path


def write_json(path: os.PathLike, value: dict) -> None:
  """Writes the whole file or nothing."""
  _write(epath.Path(path), json.dumps(value, indent=2) + '\n')


def _write(path: epath.Path, text: str) -> None:
  if not is_local(path):  # an object appears when it is complete
    path.write_text(text)
    return
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    temporary.write_text(text)
    os.replace(temporary, path)
  except OSError:
    temporary.unlink(missing_ok=True)
    raise


def cannot_write(workdir: str, e: OSError) -> OSError:
  """The error that says what to do about `e`."""
  why = e.strerror or e
  return OSError(f'cannot write in {workdir!r}: {why}; give another --workdir')


def writable(path: os.PathLike) -> None:
  """Makes a local folder and tries to write in it, before anything is computed.

  Raises:
    OSError: it cannot be made or written in.
  """
  if not is_local(path):
    return
  try:
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
      pass
  except OSError as e:
    raise OSError(
      f'cannot write in {str(path)!r}: {e.strerror or e}; it must be a folder '
      'that can be written in'
    ) from None


@contextlib.contextmanager
def outputs(folder: os.PathLike):
  """A local folder to write in: `folder`, or one that is copied there."""
  if is_local(folder):
    folder.mkdir(parents=True, exist_ok=True)
    yield pathlib.Path(folder)
    return
  with tempfile.TemporaryDirectory() as name:
    yield pathlib.Path(name)
    for path in sorted(pathlib.Path(name).iterdir()):
      (folder / path.name).write_bytes(path.read_bytes())


def load_config(workdir: str, name: str = 'config.json') -> ConfigDict:
  """The config a run was made with."""
  path = folder(workdir) / name
  try:
    text = path.read_text()
  except OSError as e:
    raise FileNotFoundError(
      f'{workdir!r} is not the folder of a run: {path} cannot be read '
      f'({e.strerror}); make one with python -m extrapolation.train'
    ) from None
  return config_lib.complete(ConfigDict(_tuples(json.loads(text))))


def _tuples(value):
  """JSON knows lists where a config has tuples."""
  if isinstance(value, dict):
    return {k: _tuples(v) for k, v in value.items()}
  return tuple(value) if isinstance(value, list) else value


def same_config(workdir: str, c: ConfigDict) -> None:
  """Raises ValueError, with the keys that differ, unless the run is of `c`.

  The sections `eval`, `sweep` and `parallel` do not make a run another one.
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
  or one that ends with the context or the process. On an object store it is
  None: that no two groups train one run is the caller's to see.

  Raises:
    ValueError: the folder holds another config; says which keys differ.
    OSError: it cannot be written, or another process is working in it.
  """
  path = folder(workdir)
  if (path / 'config.json').exists():
    same_config(workdir, c)
  elif path.is_dir() and any(p.name[0] != '.' for p in path.iterdir()):
    raise ValueError(
      f'{workdir!r} is not empty and not the folder of a run '
      '(no config.json); give another --workdir'
    )
  if not is_local(workdir):
    write_json(path / 'config.json', c.to_dict())
    return contextlib.nullcontext()
  try:
    mine = held or lease.wait(workdir)
  except lease.Held:
    raise
  except OSError as e:
    raise cannot_write(workdir, e) from None
  try:
    if (path / 'config.json').exists():  # it may be new since the last look
      same_config(workdir, c)
    write_json(path / 'config.json', c.to_dict())  # `eval` may be new
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
  path = epath.Path(workdir) / 'data.json'
  if not path.exists():
    write_json(path, manifest)
    return
  theirs = json.loads(path.read_text())
  tokenizer, ours = (m['tokenizer']['name'] for m in (theirs, manifest))
  if tokenizer != ours:
    raise ValueError(
      f'{workdir!r} is of tokens of {tokenizer}, but {manifest["source"]} '
      f'holds those of {ours}: restore it, or train in another --workdir'
    )
  for split, about in theirs['splits'].items():
    now = manifest['splits'].get(split, {'tokens_sha256': 'absent'})
    if now['tokens_sha256'] != about['tokens_sha256']:
      raise ValueError(
        f'the {split} text of {theirs["source"]} is not the one that '
        f'{workdir!r} began with (Python {theirs["python"]} then, '
        f'{manifest["python"]} now; sha256 in data.json): restore it, or '
        'train in another --workdir'
      )


def write_rpe(
  workdir: str, when: str, c: model_lib.Config, values: dict, T: int
) -> None:
  """Writes the encoding's parameters in the units of its formula to rpe.json.

  `when` is 'init' or 'final'. `values` are those of `Model.rpe_params`; with a
  leading axis of layers if each has its own. Theory reads this file and no
  checkpoint.
  """
  path = epath.Path(workdir) / 'rpe.json'
  known = json.loads(path.read_text()) if path.exists() else {}
  rows = slice(None) if c.rpe_per_layer else 0
  values = {k: np.asarray(v)[rows].tolist() for k, v in values.items()}
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


def newest(workdir: str) -> int:
  """The step of the newest complete checkpoint, read or not.

  Raises:
    FileNotFoundError: there is none.
  """
  steps = Checkpoints(workdir, read_only=True).steps()
  if not steps:
    raise FileNotFoundError(f'no complete checkpoint in {workdir!r} yet')
  return steps[-1]


def load(
  workdir: str,
  step: int | None = None,
  say=print,
  layout: parallel.Layout | None = None,
) -> Trained:
  """The newest sound checkpoint of a run, or that of `step`, and its text.

  layout: where the parameters go, whole on every device; None is one device.

  Raises:
    ValueError: not a run, no such step, or text that has changed.
    OSError: no checkpoint that is sound.
  """
  c = load_config(workdir)
  text = multihost.every(
    lambda: data.prepare(**config_lib.bind('data', data.prepare, c.data))
  )
  same_text(workdir, text.manifest)
  model = model_lib.make(
    text.tokenizer.V, **config_lib.bind('model', model_lib.Config, c.model)
  )
  like = jax.eval_shape(model.init, jax.random.key(0))
  if layout is not None:
    like = layout.whole(like)
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
      _write(self.path, ''.join(json.dumps(row) + '\n' for row in kept))
    if is_local(workdir):
      from tensorboardX import SummaryWriter

      self.file = open(self.path, 'a')  # noqa: SIM115
      self.board = SummaryWriter(
        str(epath.Path(workdir) / 'tensorboard'), purge_step=step + 1
      )
    self.kept = [] if self.file else kept

  def write(self, step: int, **values: float) -> None:
    row = {'step': step, **values}
    if not self.file:
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
    if self.file:
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
