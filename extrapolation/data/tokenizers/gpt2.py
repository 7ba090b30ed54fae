"""The byte-level BPE of GPT-2, which the paper's code reads text with."""

import base64
import hashlib
import os
import pathlib
import re
from types import ModuleType
from unittest import mock

import numpy as np
from jaxtyping import Int32, Integer

from extrapolation.data import folder_cache, network
from extrapolation.data.tokenizers.tokenizer import (
  Tokenizer,
  cut_text,
  valid_ids,
)
from extrapolation.output import plain_file

FILES = (('vocab.bpe', 'encoder.json'), ('merges.txt', 'vocab.json'))
URL = 'https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/'
SHA256 = {
  'vocab.bpe': (
    '1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5'
  ),
  'encoder.json': (
    '196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783'
  ),
}
EOS = '<|endoftext|>'
_CACHE = ('TIKTOKEN_CACHE_DIR', 'DATA_GYM_CACHE_DIR')  # of tiktoken
# Words with the space before them, numbers, signs, or spaces.
_WORDS = (
  r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
_INSTEAD = (
  'gpt2:DIR of a folder with vocab.bpe and encoder.json, or the tokenizers '
  'bytes, bpe, unigram'
)
_GAP = re.compile(r'\S(?=[ \n])')


def before_space(block: bytes) -> int:
  """Before the last run of spaces: no word of GPT-2 reaches across."""
  text = block.decode(errors='ignore')
  ends = [match.end() for match in _GAP.finditer(text)]
  return len(text[: ends[-1]].encode()) if ends else 0


def load(folder: str = '') -> Tokenizer:
  """GPT-2's tokenizer from the files in a folder, or as tiktoken gives it.

  Raises:
    ValueError: damaged files, or no tiktoken.
    OSError: no files, or no network; says what to do instead.
  """
  read = _tiktoken().load.data_gym_to_mergeable_bpe_ranks
  # tiktoken caches by path alone, and would not see that a file changed; what
  # it fetches must not lie where others can write.
  cache = '' if folder else _cache()
  try:
    with mock.patch.dict(os.environ, {_CACHE[0]: cache}):
      if folder:
        ranks = read(*map(str, files(folder)))
      else:
        urls = [URL + name for name in SHA256]
        if not all(map(_is_cached, urls)):
          network.require('tokenizer gpt2', urls[0], _INSTEAD)
        ranks = read(*urls, *SHA256.values())
    lines = (
      base64.b64encode(token) + b' %d\n' % rank for token, rank in ranks.items()
    )
    return make('gpt2', b''.join(lines))
  except plain_file.PARSE_ERRORS as error:
    raise ValueError(
      f'{folder or URL} holds no merges and vocabulary of one byte-level BPE, '
      f'or they are damaged ({plain_file.brief(error)}); fetch them again'
    ) from None


def files(folder: str) -> tuple[pathlib.Path, pathlib.Path]:
  """Merges and vocabulary in a folder; FileNotFoundError if it lacks them."""
  root = pathlib.Path(folder).expanduser()
  for merges, vocabulary in FILES:
    if (root / merges).is_file() and (root / vocabulary).is_file():
      return root / merges, root / vocabulary
  raise FileNotFoundError(
    f'gpt2:{folder}: needs a folder with '
    + ', or with '.join(' and '.join(pair) for pair in FILES)
  )


def make(kind: str, model: bytes) -> Tokenizer:
  """The tokenizer of lines `base64-of-token rank`.

  Raises:
    ValueError: lines of another form, or ranks of no byte-level vocabulary.
  """
  tiktoken = _tiktoken()
  ranks = _ranks(model)
  V = len(ranks) + 1
  encoding = tiktoken.Encoding(
    kind, pat_str=_WORDS, mergeable_ranks=ranks, special_tokens={EOS: V - 1}
  )
  lengths = np.zeros(V, np.int32)
  lengths[list(ranks.values())] = [len(token) for token in ranks]

  def encode(text: str) -> Int32[np.ndarray, ' n']:
    ids = []
    for piece in cut_text(text, before_space):
      ids += encoding.encode_ordinary(piece)
    return np.array(ids, np.int32)

  def decode(ids: Integer[np.ndarray, ' n']) -> str:
    ids = valid_ids(ids, V)
    data = encoding.decode_bytes(ids[ids < V - 1].tolist())
    return data.decode(errors='replace')

  return Tokenizer(
    name=f'{kind}-{hashlib.sha256(model).hexdigest()[:8]}',
    V=V,
    eos=V - 1,
    byte_lengths=lengths,
    encode=encode,
    decode=decode,
    model=model,
    cut=before_space,
  )


def _ranks(model: bytes) -> dict[bytes, int]:
  """Token -> rank; tiktoken aborts where these are not all there are."""
  pairs = [line.split() for line in model.splitlines()]
  ranks = {base64.b64decode(t, validate=True): int(r) for t, r in pairs}
  if len(ranks) < len(pairs) or sorted(ranks.values()) != [*range(len(ranks))]:
    raise ValueError('its ranks are not 0, 1, 2... of different tokens')
  if not all(bytes([byte]) in ranks for byte in range(256)):
    raise ValueError('its tokens lack some of the 256 bytes')
  return ranks


def _tiktoken() -> ModuleType:
  try:
    import tiktoken
    import tiktoken.load
  except ImportError:
    raise ValueError(
      "tokenizer gpt2 needs the extra `gpt2`: pip install 'extrapolation[gpt2]'"
    ) from None
  return tiktoken


def _cache() -> str:
  """The folder where tiktoken keeps files; its own is in a shared one."""
  given = (os.environ[name] for name in _CACHE if name in os.environ)
  return next(given, str(folder_cache.root() / 'tiktoken'))


def _is_cached(url: str) -> bool:
  """Whether tiktoken has the file: then it asks no network."""
  name, folder = hashlib.sha1(url.encode()).hexdigest(), _cache()
  return bool(folder) and pathlib.Path(folder, name).is_file()
