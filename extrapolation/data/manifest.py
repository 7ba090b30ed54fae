"""What a prepared folder is made of, and whether it is the one asked for."""

import pathlib
import platform
from collections.abc import Sequence

from extrapolation.data import tokenizers
from extrapolation.data.dataset import Dataset
from extrapolation.data.sources import Input, Part
from extrapolation.data.tokenizers import LEARNED
from extrapolation.output import plain_file

FORMAT = 2  # of a prepared folder; part of its key


def key(
  parts: Sequence[Part], names: Sequence[str], tokenizer: str, vocab: int
) -> dict:
  """All that decides what is written; `names` are the sources as given."""
  inputs = []
  digests: dict[tuple, dict] = {}
  for k, part in enumerate(parts):
    read = part.origin or [
      {'name': i.name, 'split': i.split} | _kind(i) | _digest(i, digests)
      for i in part.inputs
    ]
    # How records are read is part of what is read.
    fields = {'field': part.field} if part.field else {}
    inputs += [{'part': k, **r} | fields for r in read]
  stdlib = any('stdlib' in name for name in names)
  return {
    'format': FORMAT,
    'inputs': inputs,
    # The same files give other documents to a builder.
    'builders': [p.source if p.origin else '' for p in parts],
    'weights': [p.weight for p in parts],
    'python': platform.python_version() if stdlib else '',
    'separator': [p.separator for p in parts],
    'tokenizer_key': tokenizers.key(tokenizer, vocab),
  }


def _kind(entry: Input) -> dict:
  """What the text of a file was taken for, where that was once otherwise."""
  return {} if entry.kind in ('text', 'parquet') else {'kind': entry.kind}


def _digest(entry: Input, known: dict[tuple, dict]) -> dict:
  """Of the file; an archive is read once for all that it holds."""
  file = (entry.path, entry.member if entry.path.is_dir() else '')
  if file not in known:
    known[file] = entry.digest()
  return known[file]


def check_folder(folder: pathlib.Path, name: str) -> None:
  """Raises ValueError unless a folder holds what was asked for."""
  try:
    present = plain_file.read_json(folder / 'manifest.json')['key']
  except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
    present = ''
  if present != name:
    what = 'other prepared data' if present else 'something else'
    raise ValueError(
      f'{folder} holds {what} (another source, tokenizer or content); give '
      'another folder, or delete that one'
    )


def load_prepared(
  source: str, tokenizer: str, vocab: int, windows: str
) -> Dataset:
  """What lies in the folder of `prepared:DIR`.

  Raises:
    FileNotFoundError: nothing lies there.
    ValueError: it is damaged, or of another tokenizer.
  """
  folder = pathlib.Path(source.removeprefix('prepared:')).expanduser()
  if not (folder / 'manifest.json').is_file():
    raise FileNotFoundError(
      f'{source} was not written by python -m extrapolation.data --out=DIR, or '
      'not to its end: it has no manifest.json'
    )
  dataset = Dataset.load(folder, source, windows)
  there = dataset.manifest['tokenizer_key']
  # GPT-2 is one, wherever its files lie; no version makes another tokenizer.
  end = 1 if there[0] == 'gpt2' else 2
  if there[:end] != tokenizers.key(tokenizer, vocab)[:end]:
    of = f' and data.vocab = {there[1]}' if there[0] in LEARNED else ''
    raise ValueError(
      f'{source} holds tokens of {dataset.tokenizer.name}, not of {tokenizer}'
      + (f' with vocab = {vocab}' if tokenizer in LEARNED else '')
      + f'; set data.tokenizer = {there[0]!r}{of}, or prepare it anew'
    )
  return dataset
