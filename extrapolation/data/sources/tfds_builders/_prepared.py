"""Datasets that TFDS prepared, on disk."""

import json
import pathlib

from extrapolation.data.sources.inputs import Input, split_of


def newest(folder: pathlib.Path) -> pathlib.Path | None:
  """The newest version of the dataset that TFDS prepared in a folder."""
  versions = [p.parent for p in folder.glob('**/dataset_info.json')]
  parents = sorted({v.parent for v in versions})
  if len(parents) > 1:
    raise ValueError(
      f'{folder} has several configurations; name one of: '
      + ', '.join(str(p.relative_to(folder)) for p in parents)
    )
  return max(versions, key=_version, default=None)


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
  names = {s['name']: split_of(s['name']) for s in info['splits']}
  if 'train' in names.values():  # others, as 'unsupervised', are left out
    names = {name: split for name, split in names.items() if split}
  return tuple(
    Input(name, folder, split or 'train', name) for name, split in names.items()
  )
