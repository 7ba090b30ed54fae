"""Tokenizers: bytes, SentencePiece, GPT-2; saved, trained, or given by name."""

import base64
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Iterable

from etils import epath

from extrapolation.data.tokenizers import symbols, tokenizer
from extrapolation.data.tokenizers.tokenizer import Cut, Tokenizer
from extrapolation.output import plain_file

LEARNED = ('bpe', 'unigram')
KINDS = ('bytes', *LEARNED)
GIVEN = ('sentencepiece', 'huggingface')  # by the user, as file:PATH
MOST_VOCAB = 1 << 22

__all__ = [
  'KINDS',
  'LEARNED',
  'Cut',
  'Tokenizer',
  'check',
  'given',
  'key',
  'load',
  'symbols',
  'train',
]


def load(path: str | os.PathLike) -> Tokenizer:
  """Tokenizer that `Tokenizer.save` wrote.

  Raises:
    ValueError: any other file, or a damaged one.
    OSError: there is none.
  """
  try:
    saved = _read(path)
    name = saved['name']
    model = base64.b64decode(saved['model'], validate=True)
    kind = _kind(name, model)
  except plain_file.PARSE_ERRORS as error:
    raise ValueError(
      f'{path} is not a saved tokenizer, or damaged '
      f'({plain_file.brief(error)}); save it again'
    ) from None
  if kind in GIVEN:
    return _given(model, path)
  if kind == 'symbols':
    return _symbols(model, path)
  if kind == 'gpt2':
    from extrapolation.data.tokenizers import gpt2 as of_kind
  elif kind in LEARNED:
    from extrapolation.data.tokenizers import sentencepiece as of_kind
  else:
    return tokenizer.byte_level()
  try:
    return of_kind.make(name.split('-')[0], model)
  except (RuntimeError, *plain_file.PARSE_ERRORS) as error:
    raise ValueError(
      f'{path} holds no sound tokenizer ({plain_file.brief(error)}); save it '
      'again'
    ) from None


def _symbols(model: bytes, path: str | os.PathLike) -> Tokenizer:
  try:
    return symbols.load(model)
  except plain_file.PARSE_ERRORS as error:
    raise ValueError(
      f'{path} holds no sound vocabulary ({plain_file.brief(error)}); save it '
      'again'
    ) from None


def _given(model: bytes, path: str | os.PathLike) -> Tokenizer:
  from extrapolation.data.tokenizers import user_model

  try:
    return user_model.make(model)
  except (RuntimeError, *plain_file.PARSE_ERRORS) as error:
    raise ValueError(
      f'{path} holds neither a SentencePiece model nor a tokenizer.json that '
      f'can be read: {plain_file.brief(error)}'
    ) from None


def _read(path: str | os.PathLike) -> dict:
  if '://' not in str(path):
    return plain_file.read_json(path)
  return json.loads(epath.Path(path).read_text(encoding='utf-8'))


def _kind(name: str, model: bytes) -> str:
  """The kind of a saved tokenizer, whose name has the digest of its model."""
  if name == 'bytes' and not model:
    return name
  kind, _, digest = name.partition('-')
  if hashlib.sha256(model).hexdigest()[:8] != digest:
    raise ValueError(f'its model is not that of {name[:80]}')
  if kind in GIVEN:
    return kind
  family = kind.rstrip('0123456789')
  if kind == 'gpt2' or family in (*LEARNED, 'symbols'):
    return 'gpt2' if kind == 'gpt2' else family
  raise ValueError(f'no kind of tokenizer {kind[:80]!r}')


def train(kind: str, vocab: int, texts: Iterable[str]) -> Tokenizer:
  """Tokenizer of a kind in KINDS; `texts` and `vocab` are unused by `bytes`.

  Raises:
    ValueError: no such kind, or a vocabulary that the text does not allow; says
      which one it does.
  """
  if kind == 'bytes':
    return tokenizer.byte_level()
  if kind not in LEARNED:
    raise ValueError(f'no tokenizer {kind!r}; there are {", ".join(KINDS)}')
  from extrapolation.data.tokenizers import sentencepiece

  return sentencepiece.train(kind, vocab, texts)


def check(name: str, vocab: int = 0) -> None:
  """Raises ValueError unless a config may name this tokenizer."""
  # SentencePiece takes memory for all tokens before it counts those of a text.
  if name in LEARNED and (type(vocab) is not int or vocab > MOST_VOCAB):
    raise ValueError(
      f'vocab = {vocab!r:.40} must be a whole number, at most {MOST_VOCAB:,}'
    )
  if not (
    name in KINDS
    or name.endswith('.json')
    or name.partition(':')[0] in ('gpt2', 'file')
  ):
    raise ValueError(
      f'no tokenizer {name!r}; there are {", ".join(KINDS)}, gpt2, gpt2:DIR '
      'with its files, file:PATH of a SentencePiece model or a tokenizer.json, '
      'or the path of a saved one, a .json'
    )


def given(name: str) -> Tokenizer | None:
  """The tokenizer of this name; None if it must be trained."""
  kind, _, folder = name.partition(':')
  if kind == 'file':
    path = pathlib.Path(folder).expanduser()
    plain_file.check(path)
    return _given(path.read_bytes(), path)
  if name.endswith('.json'):
    return load(pathlib.Path(name).expanduser())
  if kind == 'gpt2':
    from extrapolation.data.tokenizers import gpt2

    return gpt2.load(folder)
  return tokenizer.byte_level() if name == 'bytes' else None


def key(name: str, vocab: int) -> list:
  """All that decides which tokenizer `name` is, besides the text."""
  kind, _, folder = name.partition(':')
  if kind == 'file':
    return [kind, _sha256(pathlib.Path(folder).expanduser())]
  if name.endswith('.json'):
    return ['saved', _sha256(pathlib.Path(name).expanduser())]
  if kind == 'gpt2':
    from extrapolation.data.tokenizers import gpt2

    return [kind, *map(_sha256, gpt2.files(folder) if folder else ())]
  if name == 'bytes':
    return [name]
  return [name, vocab, importlib.metadata.version('sentencepiece')]


def _sha256(path: pathlib.Path) -> str:
  plain_file.check(path)
  return hashlib.sha256(path.read_bytes()).hexdigest()
