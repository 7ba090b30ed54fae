"""Datasets that TFDS prepared, on disk."""

import pathlib

from extrapolation.data.sources import tfds_folder
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.split_names import split_of


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
  """The splits of one prepared version.

  Raises:
    ValueError: for TensorFlow alone, damaged, or harmful, see `tfds_folder`.
  """
  info = tfds_folder.info(folder)
  if info.get('fileFormat') != 'array_record':
    stored = str(info.get('fileFormat', 'tfrecord'))[:99]
    raise ValueError(
      f'{folder} is stored as {stored}, which '
      'only TensorFlow reads; prepare it with --file_format=array_record'
    )
  names = {name: split_of(name) for name in tfds_folder.splits(info)}
  if not names:
    raise ValueError(
      f'{folder / "dataset_info.json"} has no splits; prepare the dataset anew'
    )
  if 'train' in names.values():  # others, as 'unsupervised', are left out
    names = {name: split for name, split in names.items() if split}
  return tuple(
    Input(name, folder, split or 'train', name) for name, split in names.items()
  )
