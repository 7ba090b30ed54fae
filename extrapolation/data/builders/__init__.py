"""TFDS builders of the study's corpora; a file here is one, by its name.

They take text from a folder of files that the user has (`data.manual_dir`),
write array_record and need no TensorFlow:

  from extrapolation.data import builders
  builders.get('wikitext2')(data_dir=D, file_format='array_record')
"""

import contextlib
import hashlib
import importlib
import io
import json
import os
import pathlib
import pkgutil

from extrapolation.data import cache as caches
from extrapolation.data.reading import Input, digest, split_of

FORMAT = 1  # of what the builders write; part of its key


def names() -> list[str]:
  found = (m.name for m in pkgutil.iter_modules(__path__))
  return sorted(n for n in found if n[0] != '_')


def get(name: str):
  """The builder class of this name."""
  return importlib.import_module(f'{__name__}.{name}').Builder


def inputs(
  name: str, manual_dir: str, cache: pathlib.Path
) -> tuple[tuple[Input, ...], tuple[dict, ...]]:
  """Splits of `tfds:name`, and the files they were made of.

  A builder of ours is run once for the content of its files, into the cache;
  any other dataset must have been prepared where TFDS looks for it.

  Raises ValueError or FileNotFoundError that says where to get the text.
  """
  if name not in names():
    return splits(_foreign(name)), ()
  builder = get(name)
  manual = _manual(builder, manual_dir)
  texts = builder.texts(manual)
  origin = tuple(
    {'name': i.name, 'split': i.split, **digest(i)} for _, i in texts
  )
  about = json.dumps([FORMAT, name, str(builder.VERSION), origin])
  key = hashlib.sha256(about.encode()).hexdigest()[:24]
  folder = cache / 'tfds' / key
  where = pathlib.Path(name, str(builder.VERSION))
  if not folder.exists():
    with caches.making(folder) as new:
      if new:
        _build(builder, manual, new)
  return splits(folder / where), origin


def _manual(builder, manual_dir: str) -> pathlib.Path:
  """The folder of the user's files: a subfolder of the builder's name first."""
  given = pathlib.Path(manual_dir or _data_dir() / 'downloads' / 'manual')
  given = given.expanduser()
  named = given / builder.name
  others = [given / name for name in builder.ALSO]
  if manual_dir:
    others.append(given)
  else:
    others += [_data_dir() / name for name in builder.PREPARED]
  for folder in (named, *others):
    if folder.is_dir():
      return folder
  raise FileNotFoundError(
    f'tfds:{builder.name}: no folder {given if manual_dir else named} with '
    f'its text; give one as data.manual_dir (--manual_dir). {builder.FROM}'
  )


def _data_dir() -> pathlib.Path:
  given = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  return pathlib.Path(given).expanduser()


def _build(builder, manual: pathlib.Path, to: pathlib.Path) -> None:
  import tensorflow_datasets as tfds

  made = builder(data_dir=str(to), file_format='array_record')
  config = tfds.download.DownloadConfig(
    manual_dir=str(manual), try_download_gcs=False
  )
  with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloads
    made.download_and_prepare(download_config=config)


def _foreign(name: str) -> pathlib.Path:
  """A dataset of TFDS that lies where TFDS keeps them."""
  if found := prepared(_data_dir() / name):
    return found
  raise FileNotFoundError(
    f'tfds:{name} is not prepared in {_data_dir()} (TFDS_DATA_DIR), and '
    'nothing is downloaded here; prepare it where TensorFlow and a network '
    f'are (tfds build {name} --file_format=array_record) and copy it there, '
    'or read files:PATH, or with data.manual_dir tfds:'
    + ', tfds:'.join(names())
  )


def prepared(folder: pathlib.Path) -> pathlib.Path | None:
  """The newest version of the dataset that TFDS prepared in a folder."""
  found = [p.parent for p in folder.glob('**/dataset_info.json')]
  parents = sorted({p.parent for p in found})
  if len(parents) > 1:
    raise ValueError(
      f'{folder} has several configurations; name one of: '
      + ', '.join(str(p.relative_to(folder)) for p in parents)
    )
  return max(found, key=_version, default=None)


def _version(path: pathlib.Path) -> list[int]:
  return [int(n) for n in path.name.split('.') if n.isdigit()]


def splits(folder: pathlib.Path) -> tuple[Input, ...]:
  """The splits of one prepared version."""
  info = json.loads((folder / 'dataset_info.json').read_text('utf-8'))
  if info.get('fileFormat') != 'array_record':
    raise ValueError(
      f'{folder} is stored as {info.get("fileFormat", "tfrecord")}, which '
      'only TensorFlow reads; prepare it with --file_format=array_record'
    )
  of = {s['name']: split_of(s['name']) for s in info['splits']}
  found = [Input(n, folder, s or 'train', n) for n, s in of.items()]
  if 'train' in of.values():  # others, such as 'unsupervised', are left out
    found = [i for i in found if of[i.name]]
  return tuple(found)
