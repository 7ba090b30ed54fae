"""Records of a folder that TFDS prepared, as array_record."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from extrapolation.data.sources import tfds_folder
from extrapolation.data.sources.inputs import COLUMNS, Input, in_blocks
from extrapolation.output import plain_file

if TYPE_CHECKING:
  import tensorflow_datasets as tfds


def documents(entry: Input) -> Iterator[bytes | None]:
  """The text of each record in blocks, None at its end.

  Raises:
    ValueError: no such text, a folder that would run code, or files that are
      not those of which the folder speaks.
    EOFError: a damaged record.
  """
  tfds_folder.info(entry.path)
  builder = _builder(entry)
  features = builder.info.features or {}
  column = next((name for name in COLUMNS if name in features), None)
  if column is None:
    raise ValueError(
      f'{entry.path} has no feature of text called {", ".join(COLUMNS)}; it '
      'has: ' + ', '.join(features)
    )
  try:
    _check_shards(entry, builder)
    records = builder.as_data_source(entry.member)
    for i in range(len(records)):
      text = records[i][column]
      if not isinstance(text, bytes):
        raise EOFError(f'record {i} is no text')
      yield from in_blocks(text)
      yield None
  except (RuntimeError, LookupError, TypeError) as error:  # of array_record
    raise EOFError(plain_file.brief(error)) from None


def _builder(entry: Input) -> 'tfds.core.DatasetBuilder':
  import tensorflow_datasets as tfds
  from google.protobuf import json_format

  try:
    return tfds.builder_from_directory(str(entry.path))
  except (OSError, json_format.Error, *plain_file.PARSE_ERRORS) as error:
    raise ValueError(
      f'{entry.path} is not a dataset that TFDS can read, or damaged '
      f'({plain_file.brief(error)}); prepare it anew'
    ) from None


def _check_shards(entry: Input, builder: 'tfds.core.DatasetBuilder') -> None:
  """Raises ValueError unless dataset_info.json states the files that lie here.

  TFDS believes it: a number less, and documents are left out without a word.
  """
  from array_record.python.array_record_module import ArrayRecordReader

  where = entry.path / 'dataset_info.json'
  try:
    stated = builder.info.splits[entry.member]
    says = dict(zip(stated.filenames, stated.shard_lengths, strict=True))
  except plain_file.PARSE_ERRORS as error:
    raise ValueError(
      f'{where} is damaged ({plain_file.brief(error)}); prepare the dataset '
      'anew'
    ) from None
  files = {path.name: path for path in entry.files()}
  counts = dict.fromkeys(files, 0)
  for name, path in files.items():
    plain_file.check(path)
    reader = ArrayRecordReader(str(path))
    counts[name] = reader.num_records()
    reader.close()
  if says != counts:
    name = min(n for n in {*says, *counts} if says.get(n) != counts.get(n))
    raise ValueError(
      f'{where} states {says.get(name, "no")} '
      f'records of {name}, and there are {counts.get(name, "none")}; prepare '
      'the dataset anew'
    )
