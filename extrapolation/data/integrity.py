"""Whether a prepared folder is what was written there: all that it states."""

import hashlib
import json
import pathlib
import tokenize
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt

from extrapolation.data import tokenizers
from extrapolation.data.sources import BLOCK, SPLITS
from extrapolation.output import plain_file, signed

DTYPES = ('uint16', 'uint32')  # no other reaches a mapping of memory
_DAMAGE = (FileNotFoundError, tokenize.TokenError, *plain_file.PARSE_ERRORS)
_HEX = 64  # digits of a sha256
_KEY = (  # what the name of a folder is made of, in this order
  'format',
  'inputs',
  'builders',
  'weights',
  'python',
  'separator',
  'tokenizer_key',
)
_KEYS = {*_KEY, 'key', 'tokenizer', 'parts', 'splits', 'skipped', signed.KEY}


def name_of(key: Mapping[str, Any]) -> str:
  """The name of the folder of a key, sha256 in hexadecimal."""
  return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def read(
  folder: pathlib.Path,
) -> tuple[dict[str, Any], tokenizers.Tokenizer]:
  """The manifest and the tokenizer of a folder, every file compared with them.

  Raises:
    ValueError: any of it is damaged, or not of this form; names the folder.
    OSError: it cannot be read now, which says nothing about it.
  """
  at = 'manifest.json'
  try:
    manifest = plain_file.read_json(folder / at)
    _check_manifest(manifest)
    stated = manifest['tokenizer']
    at = 'tokenizer.json'
    tokenizer = tokenizers.load(folder / at)
    _check_tokenizer(stated, tokenizer)
    ends = {}
    for split, record in manifest['splits'].items():
      at = f'{split}.{record["dtype"]}'
      tokens = _tokens(folder / at, record, tokenizer)
      at = f'{split}.offsets.npy'
      ends[split] = offsets(folder / at)
      _check_offsets(ends[split], record, tokens, tokenizer.eos)
    at = 'manifest.json'
    _check_parts(manifest['parts'], ends.get('train', np.zeros(1, np.int64)))
  except PermissionError as error:
    raise PermissionError(
      error.errno,
      f'{error.strerror}; let its owner open it, or choose another data.cache',
      str(folder / at),
    ) from None
  except _DAMAGE as error:
    raise ValueError(
      f'the prepared data in {folder} is damaged ({at}: '
      f'{plain_file.brief(error)}); delete that folder and run again'
    ) from None
  return manifest, tokenizer


def offsets(path: pathlib.Path) -> Int64[np.ndarray, ' d']:
  """Ends of documents, mapped from disk; no object is ever unpickled."""
  plain_file.check(path)
  return np.lib.format.open_memmap(path, mode='r')


def _check_manifest(manifest: Mapping[str, Any]) -> None:
  if unknown := manifest.keys() - _KEYS:
    raise ValueError(f'{min(unknown)!r} is no key of it')
  if signed.altered(manifest):
    raise ValueError('it has changed')
  key = {name: manifest[name] for name in _KEY}
  # Only text of the standard library depends on the version of Python.
  names = [name_of(key | {'python': p}) for p in (key['python'], '')]
  if manifest['key'] not in names:
    raise ValueError('it has changed: its key is of other inputs')
  if not isinstance(manifest['tokenizer_key'][0], str):
    raise TypeError('tokenizer_key names no tokenizer')
  if not isinstance(manifest['python'], str):
    raise TypeError('python is not a version')
  splits = manifest['splits']
  if not isinstance(splits, dict) or not splits.keys() <= set(SPLITS):
    raise ValueError(f'its splits are not of {", ".join(SPLITS)}')
  for split, record in splits.items():
    for name in ('bytes', 'documents', 'tokens'):
      _count(record, name, split)
    if record['dtype'] not in DTYPES:
      raise ValueError(
        f'{split} has dtype = {str(record["dtype"])[:40]!r}, not one of '
        + ', '.join(DTYPES)
      )
    for name in ('sha256', 'tokens_sha256', 'offsets_sha256'):
      if not isinstance(record[name], str) or len(record[name]) != _HEX:
        raise ValueError(f'{name} of {split} is no sha256')


def _count(record: Mapping[str, Any], name: str, of: str) -> int:
  """A number of things; True and 1.0 are none."""
  value = record[name]
  if type(value) is not int or not 0 <= value < 1 << 62:
    raise ValueError(f'{of} has {name} = {str(value)[:40]}, not a count')
  return value


def _check_tokenizer(
  about: Mapping[str, Any], tokenizer: tokenizers.Tokenizer
) -> None:
  there = {
    'name': tokenizer.name,
    'V': tokenizer.V,
    'eos': tokenizer.eos,
    'sha256': hashlib.sha256(tokenizer.model).hexdigest(),
  }
  for name, value in there.items():
    if type(about[name]) is not type(value) or about[name] != value:
      raise ValueError(
        f'its {name} is {value}, but manifest.json says {str(about[name])[:80]}'
      )


def _tokens(
  path: pathlib.Path,
  record: Mapping[str, Any],
  tokenizer: tokenizers.Tokenizer,
) -> UInt[np.ndarray, ' n']:
  """Tokens of a split, mapped; ValueError unless they are what was written."""
  dtype = np.dtype(record['dtype'])
  # A hash of what is endless, or far too long, would never come to an end.
  size, stated = plain_file.check(path).st_size, record['tokens']
  if size != stated * dtype.itemsize:
    raise ValueError(f'it has {size} bytes, not those of {stated} tokens')
  sha256, text_bytes = hashlib.sha256(), 0
  with open(path, 'rb') as file:
    while block := file.read(BLOCK):
      sha256.update(block)
      ids = np.frombuffer(block, dtype)
      if int(ids.max()) >= tokenizer.V:
        raise ValueError(f'it holds token {ids.max()}, but V = {tokenizer.V}')
      text_bytes += int(tokenizer.byte_lengths.take(ids).sum())
  if sha256.hexdigest() != record['tokens_sha256']:
    raise ValueError('it has changed')
  if tokenizer.lossless and text_bytes != record['bytes']:
    raise ValueError(
      f'it is of {text_bytes} bytes of text, but manifest.json says '
      f'{record["bytes"]}'
    )
  return np.memmap(path, dtype, 'r') if size else np.zeros(0, dtype)


def _check_offsets(
  ends: np.ndarray,
  record: Mapping[str, Any],
  tokens: UInt[np.ndarray, ' n'],
  eos: int,
) -> None:
  if (
    ends.dtype != np.int64
    or ends.shape != (record['documents'] + 1,)
    or hashlib.sha256(ends).hexdigest() != record['offsets_sha256']
  ):
    raise ValueError('it has changed')
  if ends[0] != 0 or ends[-1] != len(tokens) or (np.diff(ends) < 1).any():
    raise ValueError('it does not divide the tokens into documents')
  if (tokens[ends[1:] - 1] != eos).any():
    raise ValueError('it has documents that end without eos')


def _check_parts(
  parts: list[dict[str, Any]], ends: Int64[np.ndarray, ' d']
) -> None:
  """Raises ValueError unless the parts are the train split, one by one."""
  end, weight = 0, 0.0
  for part in parts:
    start, end = end, end + _count(part, 'documents', 'a part')
    if end >= len(ends) or part['tokens'] != ends[end] - ends[start]:
      raise ValueError('its parts are not those of the train split')
    if not 0 <= part['weight'] <= 1:
      raise ValueError(f'a weight is {part["weight"]}')
    weight += part['weight']
  if end != len(ends) - 1 or min(weight, abs(weight - 1)) > 1e-6:
    raise ValueError('its parts are not all of the train split')
