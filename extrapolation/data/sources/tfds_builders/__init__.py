"""TFDS builders of the study's corpora; a file here is one, by its name.

They take text from a folder of files that the user has (`data.manual_dir`),
write array_record and need no TensorFlow:

  from extrapolation.data.sources import tfds_builders
  tfds_builders.get('wikitext2')(data_dir=D, file_format='array_record')
"""

import contextlib
import hashlib
import importlib
import io
import json
import os
import pathlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from extrapolation.cli import paths
from extrapolation.data import folder_cache, permissions
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.tfds_builders import _prepared

if TYPE_CHECKING:
  from extrapolation.data.sources.tfds_builders import _text

FORMAT = 1  # of what the builders write; part of its key


def names() -> list[str]:
  """Every builder there is, in alphabetical order."""
  modules = (m.name for m in pkgutil.iter_modules(__path__))
  return sorted(n for n in modules if n[0] != '_')


def get(name: str) -> type['_text.Text']:
  """The builder class of this name."""
  return importlib.import_module(f'{__name__}.{name}').Builder


def inputs(
  name: str,
  manual_dir: str,
  cache: pathlib.Path,
  also: pathlib.Path | None = None,
  check: Callable[[str, Iterable[dict]], None] = lambda source, read: None,
) -> tuple[tuple[Input, ...], tuple[dict, ...], tuple[pathlib.Path, ...]]:
  """Splits of `tfds:name`, and the files they were made of: digests and paths.

  A builder of ours is run once for the content of its files, into the cache;
  any other dataset must have been prepared where TFDS looks for it. also,
  check: see `corpora.Options`.

  Raises:
    ValueError: files that are not text, or not the published one.
    FileNotFoundError: no files; says where to get them.
  """
  if name not in names():
    return _prepared.splits(_foreign(name)), (), ()
  builder = get(name)
  manual = _manual(builder, manual_dir)
  texts = builder.texts(manual)
  origin = tuple(
    {'name': i.name, 'split': i.split, **i.digest()} for _, i in texts
  )
  check(f'tfds:{name}', origin)
  paths = tuple(i.path for _, i in texts)
  version = str(builder.VERSION)
  content = json.dumps([FORMAT, name, version, origin])
  key = hashlib.sha256(content.encode()).hexdigest()[:24]
  folder = cache / 'tfds' / key
  if also and not folder.exists() and (also / 'tfds' / key).is_dir():
    folder = also / 'tfds' / key
  else:
    mode = permissions.of_cached(cache, paths)
    with folder_cache.making(folder, mode) as new:
      if new:
        _build(builder, manual, new)
  return _prepared.splits(folder / name / version), origin, paths


def _manual(builder: type['_text.Text'], manual_dir: str) -> pathlib.Path:
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
  return pathlib.Path(paths.expand(given))


def _build(
  builder: type['_text.Text'], manual: pathlib.Path, to: pathlib.Path
) -> None:
  import tensorflow_datasets as tfds

  made = builder(data_dir=str(to), file_format='array_record')
  config = tfds.download.DownloadConfig(
    manual_dir=str(manual), try_download_gcs=False
  )
  with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloads
    made.download_and_prepare(download_config=config)


def _foreign(name: str) -> pathlib.Path:
  """A dataset of TFDS that lies where TFDS keeps them."""
  if folder := _prepared.newest(_data_dir() / name):
    return folder
  raise FileNotFoundError(
    f'tfds:{name} is not prepared in {_data_dir()} (TFDS_DATA_DIR), and '
    'nothing is downloaded here; prepare it where TensorFlow and a network '
    f'are (tfds build {name} --file_format=array_record) and copy it there, '
    'or read files:PATH, or with data.manual_dir tfds:'
    + ', tfds:'.join(names())
  )
