"""A folder that TFDS prepared, looked through before TFDS reads it."""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from extrapolation.output import plain_file

# TFDS imports what these name, wherever it lies, and so runs it.
_CLASS_KEYS = ('pythonClassName', 'python_class_name', 'type')
TRUSTED = 'tensorflow_datasets.core.features.'
_CLASS = re.compile(re.escape(TRUSTED) + r'\w+(\.\w+)*')
_NAME = re.compile(
  r'[\w.-]+'
)  # of a dataset or split, which files are called by
_FILES = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'  # as TFDS calls them


def info(folder: pathlib.Path) -> dict[str, Any]:
  """What dataset_info.json says, once the folder can do no harm.

  Raises:
    ValueError: a class, or a path, that is not TFDS's own; or a damaged file.
    OSError: it has no such file.
  """
  about = plain_file.read_json(folder / 'dataset_info.json')
  try:
    _check_names(about)
  except plain_file.PARSE_ERRORS as error:
    raise ValueError(
      f'{folder / "dataset_info.json"} is damaged '
      f'({plain_file.brief(error)}); prepare the dataset anew'
    ) from None
  for path in sorted(folder.glob('*features.json')):
    for name in _classes(plain_file.read_json(path)):
      if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise ValueError(
          f'{path} names the class {str(name)[:200]!r}, which TFDS would '
          f'import and run; allowed are those of {TRUSTED}*: prepare the '
          'dataset anew, without features of its own'
        )
  return about


def splits(about: Mapping[str, Any]) -> list[str]:
  """Names of the splits."""
  return [split['name'] for split in about.get('splits', [])]


def _check_names(about: Mapping[str, Any]) -> None:
  """Raises ValueError for a name that leads out of the folder."""
  splits = about.get('splits', [])
  for name in (about.get('name', 'x'), *(split['name'] for split in splits)):
    if not _NAME.fullmatch(name) or '..' in name:
      raise ValueError(f'the name {name[:200]!r} is of no file here')
  for split in splits:
    for key in ('filepathTemplate', 'filepath_template'):
      if split.get(key, _FILES) != _FILES:
        raise ValueError(f'{key} is {str(split[key])[:200]!r}, not {_FILES}')


def _classes(features: Any) -> Iterator[Any]:
  """Every class that is named, also in JSON that is text inside JSON."""
  todo = [features]
  while todo:
    value = todo.pop()
    if isinstance(value, dict):
      for key, inner in value.items():
        # A feature may be called `type`; what it is, is then an object.
        if key in _CLASS_KEYS and not isinstance(inner, dict):
          yield inner
        else:
          todo.append(inner)
    elif isinstance(value, list):
      todo += value
    elif isinstance(value, str) and value.lstrip()[:1] in ('{', '['):
      try:
        todo.append(json.loads(value))
      except (ValueError, RecursionError):
        continue  # TFDS cannot read it either
