"""Files of records, each a document: JSON, CSV, Arrow and Parquet."""

import csv
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from extrapolation.data.sources import inputs

if TYPE_CHECKING:
  import pyarrow

FORMATS = {
  '.jsonl': 'jsonl', '.ndjson': 'jsonl', '.jsonlines': 'jsonl',
  '.json': 'json', '.csv': 'csv', '.tsv': 'tsv', '.parquet': 'parquet',
  '.arrow': 'arrow',
}  # fmt: skip
PACKED = ('.gz', '.xz', '.bz2', '.zst', '.zstd', '.zip')
LARGEST_JSON = 1 << 30  # bytes of an array, which is held in memory
FLAG = 'data.field'

Skipped = dict[str, int]  # reason -> records


def format_of(name: str) -> str:
  """What the name of a file says that it holds, 'text' if nothing else."""
  suffixes = [s.lower() for s in pathlib.PurePath(name).suffixes]
  while suffixes and suffixes[-1] in PACKED:
    suffixes.pop()
  return FORMATS.get(suffixes[-1], 'text') if suffixes else 'text'


def texts(
  file: IO[bytes], kind: str, where: str, field: str, skipped: Skipped
) -> Iterator[str]:
  """The text of each record of a file of JSON or CSV.

  Args:
    field: of the text, in a record; dots separate nested ones. '' is
      `text`, or the only one that can be meant.
    skipped: counts records without text, by why.

  Raises:
    ValueError: no such records, or a field that has to be chosen.
  """
  if kind in ('csv', 'tsv'):
    records = _rows(file, '\t' if kind == 'tsv' else ',', where)
  else:
    records = _objects(file, kind, where)
  for record in records:
    if not field:
      strings = [k for k, v in record.items() if isinstance(v, str)]
      one = kind not in ('csv', 'tsv')  # whose first row may be no header
      field = choose(strings, list(record), where, only=one)
    value: Any = record
    for part in [field] if field in record else field.split('.'):
      value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
      _count(skipped, f'without a text in {field!r}')
    elif '\0' in value:
      _count(skipped, 'with a NUL character')
    elif not value:
      _count(skipped, 'empty')
    else:
      yield value


def _count(skipped: Skipped, why: str) -> None:
  skipped[why] = skipped.get(why, 0) + 1


def choose(
  strings: Sequence[str], names: Sequence[str], where: str, only: bool = True
) -> str:
  """The field that holds the text.

  Args:
    strings: fields that hold text of any kind.
    names: all fields.
    only: the only one of `strings` will do, whatever it is called.

  Raises:
    ValueError: it could be several, or none.
  """
  known = [name for name in inputs.COLUMNS if name in strings]
  if known and (known[0] == inputs.COLUMNS[0] or len(known) == 1):
    return known[0]
  if only and not known and len(strings) == 1:
    return strings[0]
  could = known or list(strings)
  raise ValueError(
    f'{where} has no field {inputs.COLUMNS[0]!r}; '
    + (f'its text could be in {", ".join(could)}; ' if could else '')
    + f'it has: {", ".join(map(str, names))[:200]}; say which with {FLAG}=NAME'
  )


def _objects(file: IO[bytes], kind: str, where: str) -> Iterator[dict]:
  """Objects of a line each, or of one array."""
  head = file.peek(inputs.BLOCK) if kind == 'json' else b'{'  # pyrefly: ignore
  if head.removeprefix(inputs.MARK).lstrip()[:1] == b'[':
    yield from _array(file, where)
    return
  for i, line in enumerate(file, 1):
    if line := line.removeprefix(inputs.MARK).strip():
      yield _object(line, f'{where}, line {i}')


def _object(line: bytes, where: str) -> dict:
  try:
    record = json.loads(line)
  except (ValueError, RecursionError) as e:
    raise ValueError(
      f'{where} is not JSON ({str(e)[:80]}); a record is an object on a line, '
      'or the file one array of objects'
    ) from None
  if not isinstance(record, dict):
    raise ValueError(
      f'{where} is {type(record).__name__}, not an object with a text'
    )
  return record


def _array(file: IO[bytes], where: str) -> Iterator[dict]:
  text = file.read(LARGEST_JSON + 1)
  if len(text) > LARGEST_JSON:
    raise ValueError(
      f'{where} is an array of more than {LARGEST_JSON:,} bytes, which would '
      "be held in memory; write a record on a line: jq -c '.[]'"
    )
  try:
    records = json.loads(text)
  except (ValueError, RecursionError) as e:
    raise ValueError(f'{where} is not JSON: {str(e)[:80]}') from None
  for i, record in enumerate(records):
    if not isinstance(record, dict):
      raise ValueError(
        f'{where}, record {i}, is {type(record).__name__}, not an object with '
        'a text'
      )
    yield record


def _rows(file: IO[bytes], delimiter: str, where: str) -> Iterator[dict]:
  csv.field_size_limit(LARGEST_JSON)
  text = io.TextIOWrapper(file, 'utf-8-sig', newline='')
  try:
    yield from csv.DictReader(text, delimiter=delimiter, strict=True)
  except UnicodeDecodeError as e:
    raise ValueError(
      f'{where} is not UTF-8: {e.reason}; convert it with iconv -t UTF-8'
    ) from None
  except csv.Error as e:
    raise ValueError(f'{where} is no table of rows: {e}') from None


def table(
  path: pathlib.Path, kind: str, field: str
) -> Iterator['pyarrow.Array']:
  """The column of text of an Arrow or Parquet file, by batches.

  Raises:
    ValueError: no such column, or one that has to be chosen.
    EOFError: the file is damaged.
  """
  import pyarrow
  from pyarrow import ipc, parquet

  try:
    if kind == 'parquet':
      with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        column = _column(path, file.schema_arrow, field)
        for batch in file.iter_batches(256, columns=[column]):
          yield batch.column(0)
      return
    with open(path, 'rb') as file:
      stream = file.read(6) != b'ARROW1'
      file.seek(0)
      reader = ipc.open_stream(file) if stream else ipc.open_file(file)
      column = _column(path, reader.schema, field)
      for batch in _batches(reader):
        yield batch.column(reader.schema.get_field_index(column))
  except (pyarrow.ArrowException, OSError) as error:
    if isinstance(error, OSError) and error.errno:
      raise
    raise EOFError(str(error).splitlines()[0]) from None


def _batches(reader: Any) -> Iterable['pyarrow.RecordBatch']:
  if hasattr(reader, 'num_record_batches'):
    return (reader.get_batch(i) for i in range(reader.num_record_batches))
  return reader


def _column(path: pathlib.Path, schema: 'pyarrow.Schema', field: str) -> str:
  from pyarrow import types

  strings = [
    f.name
    for f in schema
    if types.is_string(f.type)
    or types.is_large_string(f.type)
    or types.is_string_view(f.type)
  ]
  if not field:
    return choose(strings, schema.names, str(path))
  if field not in strings:
    raise ValueError(
      f'{path} has no column of text {field!r} ({FLAG}); it has: '
      + ', '.join(schema.names)
    )
  return field
