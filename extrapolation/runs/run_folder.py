"""A run is a folder: config, text, tokenizer, metrics, checkpoints."""

import contextlib
import functools
import json
import logging
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from extrapolation import config, data, rpe
from extrapolation.output import files, signed
from extrapolation.rpe import fingerprint
from extrapolation.rpe.rates import Rates
from extrapolation.runs import identity, leases

log = logging.getLogger(__name__)


def folder(workdir: str) -> epath.Path:
  """The folder of a run; raises ValueError if nothing here can open it."""
  path = epath.Path(workdir)
  try:
    path.exists()
  except ImportError as error:
    raise ValueError(f'--workdir={workdir}: {error}') from None
  return path


def load_config(workdir: str, name: str = 'config.json') -> config.Experiment:
  """The config a run was made with.

  Raises:
    FileNotFoundError: there is none that can be read.
    signed.Damaged: it is not one, or was altered.
  """
  path = folder(workdir) / name
  try:
    body = signed.read(path)
  except OSError as error:
    raise FileNotFoundError(
      f'{workdir!r} is not the folder of a run: {path} cannot be read '
      f'({error.strerror}); make one with python -m extrapolation.train'
    ) from None
  try:
    return config.from_dict(body)
  except ValueError as e:
    raise signed.Damaged(f'{path}: {e}') from None


def same_config(workdir: str, e: config.Experiment) -> None:
  """Raises ValueError, with the keys that differ, unless the run is of `e`.

  The sections `eval`, `sweep` and `parallel`, and `identity.HARMLESS` keys, do
  not make a run another one.
  """
  there = load_config(workdir)
  different = config.differences(
    identity.trained_by(there), identity.trained_by(e)
  )
  if different:
    raise ValueError(
      f'{workdir!r} holds a run of another config; give another --workdir. '
      'Keys that differ (there -> here): ' + '; '.join(different)
    )


def claim(
  workdir: str, e: config.Experiment, lease: leases.Lease | None = None
) -> contextlib.AbstractContextManager:
  """Makes or reopens the folder of a run; refuses that of another config.

  Returns a context with the lease on the folder: `lease`, if the caller has it,
  or one that ends with the context or the process. On an object store it is
  None: that no two groups train one run is the caller's to see.

  Raises:
    ValueError: the folder holds another config; says which keys differ.
    OSError: it cannot be written, or another process is working in it.
  """
  path = folder(workdir)
  if (path / 'config.json').exists():
    same_config(workdir, e)
  elif path.is_dir() and any(p.name[0] != '.' for p in path.iterdir()):
    raise ValueError(
      f'{workdir!r} is not empty and not the folder of a run '
      '(no config.json); give another --workdir'
    )
  if not files.is_local(workdir):
    signed.write(path / 'config.json', e.to_dict())
    return contextlib.nullcontext()
  try:
    own = lease or leases.wait(workdir)
  except leases.Held:
    raise
  except OSError as error:
    raise files.cannot_write(workdir, error) from None
  try:
    if (path / 'config.json').exists():  # it may be new since the last look
      same_config(workdir, e)
    signed.write(path / 'config.json', e.to_dict())  # `eval` may be new
  except BaseException:
    if not lease:
      own.close()
    raise
  return contextlib.nullcontext(own) if lease else own


def same_text(workdir: str, manifest: dict) -> None:
  """Records which text a run reads; from then on refuses any other.

  Raises:
    ValueError: the text has changed since the run began.
  """
  path = epath.Path(workdir) / 'data.json'
  if not path.exists():
    signed.write(path, manifest)
    return
  theirs = text_of(workdir)
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


def has_text(workdir: str) -> bool:
  """Whether a run says what text it began with, as all but the oldest do."""
  return (epath.Path(workdir) / 'data.json').exists()


def text_of(workdir: str) -> dict:
  """The manifest of the text that a run began with, its data.json.

  Raises:
    signed.Damaged: it is no manifest, or was altered.
    OSError: it cannot be read.
  """
  path = epath.Path(workdir) / 'data.json'
  if not has_text(workdir):
    raise FileNotFoundError(
      f'{path} is not there, which says what text the run was trained on; '
      'train with this --workdir again, which writes it'
    )
  manifest = signed.read(path)
  try:
    manifest['tokenizer']['name'], manifest['source'], manifest['python']
    for about in manifest['splits'].values():
      about['tokens_sha256']
  except (KeyError, TypeError, AttributeError) as e:
    raise signed.Damaged(
      f'{path} is not the manifest of a text ({e!r}): restore it'
    ) from None
  return manifest


def write_tokenizer(workdir: str, tokenizer: data.Tokenizer) -> None:
  """Leaves the tokenizer with the run, which then needs no text to generate."""
  path = epath.Path(workdir) / 'tokenizer.json'
  if not path.exists():
    files.write_text(path, tokenizer.dumps())


def tokenizer(workdir: str) -> data.Tokenizer | None:
  """The tokenizer of a run; None in a folder of before it was kept there."""
  path = epath.Path(workdir) / 'tokenizer.json'
  return data.load_tokenizer(path) if path.exists() else None


def write_rpe(
  workdir: str,
  when: str,
  e: config.Experiment,
  values: dict,
  rates: Sequence[Sequence[Rates]] = (),
  mixes: Sequence[Mapping] = (),
) -> None:
  """Writes the encoding's parameters in the units of its formula to rpe.json.

  `when` is 'init' or 'final'. `values` are those of `Model.rpe_params`; with a
  leading axis of layers if each has its own. `rates` are those of clocks and
  heats by layer and head, which windows follow from; `mixes` the learned parts
  of scores that mix heads, by layer. Theory reads this file and no checkpoint.
  The source of an encoding that is not packaged is kept beside it.
  """
  path, c = epath.Path(workdir) / 'rpe.json', e.model
  known = signed.read(path) if path.exists() else {}
  rows = slice(None) if c.rpe_per_layer else 0
  values = {k: np.asarray(v)[rows].tolist() for k, v in values.items()}
  about = dict(name=rpe.name_of(c.rpe), H=c.H, hyper=dict(c.rpe_args))
  about |= dict(train_length=e.train.T, run=identity.run_id(e))
  if c.kind == 'encoder':
    about |= dict(geometry=c.geometry)
  if 'fingerprint' not in known:
    _keep_source(path.parent, c.rpe)
    about |= dict(fingerprint=fingerprint.take(_encodings(e.model)))
    if c.rpe_file:
      about |= dict(sha256=rpe.digests()[rpe.name_of(c.rpe)])
  if rates:
    listed = [[head._asdict() for head in layer] for layer in rates]
    about |= dict(rates={**known.get('rates', {}), when: listed})
  if any(mixes):
    every = [{k: np.asarray(v).tolist() for k, v in x.items()} for x in mixes]
    about |= dict(mixes={**known.get('mixes', {}), when: every})
  signed.write(path, {**known, **about, when: values})


def _keep_source(folder: epath.Path, kernel: str) -> None:
  if source := rpe.source(kernel):
    name, text = source
    kept = folder / rpe.KEPT
    kept.mkdir(parents=True, exist_ok=True)
    with files.atomic(kept / name) as temporary:
      temporary.write_bytes(text)


def _encodings(c: config.Model) -> tuple[rpe.RPE, ...]:
  return rpe.layers(c.rpe, c.H, **c.rpe_args)


def same_encoding(workdir: str, e: config.Experiment) -> None:
  """Raises signed.Damaged unless rpe.json is of this run and of this code.

  A run of before there were fingerprints, or that has just begun, is not
  compared; nor is one with a file of the user's own that he did not name, none
  of which is run.
  """
  path = epath.Path(workdir) / 'rpe.json'
  if not path.exists():
    return
  known = signed.read(path)
  run = identity.run_id(e)
  if known.get('run', run) != run:
    raise signed.Damaged(f'{path} is of another run: restore it')
  kernel, recorded = e.model.rpe, e.model.rpe_file.get('sha256')
  now = recorded and rpe.digests().get(rpe.name_of(kernel))
  if 'fingerprint' not in known or (recorded and not now):
    return
  if not _same(e.model, json.dumps(known), now or ''):
    raise signed.Damaged(fingerprint.other(kernel, workdir))


@functools.lru_cache(maxsize=256)  # a sweep asks again and again
def _same(c: config.Model, known: str, sha256: str) -> bool:
  there = json.loads(known)
  same = fingerprint.same(_encodings(c), there['fingerprint'])
  if same and there.get('sha256', sha256) != sha256:
    log.info(
      '%s is not the file that the run began with; its values are the same',
      rpe.name_of(c.rpe),
    )
  return same
