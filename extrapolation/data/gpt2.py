"""The byte-level BPE of GPT-2, which the paper's code reads text with."""

import base64
import hashlib
import json
import os
import pathlib
import re
import tempfile

import numpy as np
from jaxtyping import Int32, Integer

from extrapolation.data import network
from extrapolation.data.tokenizer import Tokenizer, cut_text, valid_ids

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
  ends = [found.end() for found in _GAP.finditer(text)]
  return len(text[: ends[-1]].encode()) if ends else 0


def load(where: str = '') -> Tokenizer:
  """GPT-2's tokenizer from the files in a folder, or as tiktoken gives it.

  Raises ValueError or OSError that says what to do instead.
  """
  if where:
    merges, vocabulary = (path.read_bytes() for path in files(where))
  else:
    load = _tiktoken().load
    if not _is_cached():
      network.require('tokenizer gpt2', URL + FILES[0][0], _INSTEAD)
    merges, vocabulary = (
      load.read_file_cached(URL + name, SHA256[name]) for name in FILES[0]
    )
  try:
    ranks = _ranks(merges.decode(), json.loads(vocabulary))
  except (ValueError, KeyError):
    raise ValueError(
      f'{where or URL} holds no merges and vocabulary of one byte-level BPE, '
      'or they are damaged'
    ) from None
  lines = (
    base64.b64encode(token) + b' %d\n' % rank for token, rank in ranks.items()
  )
  return make(b''.join(lines))


def _ranks(merges: str, vocabulary: dict[str, int]) -> dict[bytes, int]:
  """Tokens in the order of their merges, which is that of their ids.

  Both files write a byte as one printable character: itself, or the next free
  one from U+0100 on.
  """
  letters = [b for b in range(256) if chr(b).isprintable() and b != ord(' ')]
  rest = [b for b in range(256) if b not in letters]
  byte = {chr(b): b for b in letters}
  byte |= {chr(256 + n): b for n, b in enumerate(rest)}

  def token(written: str) -> bytes:
    return bytes(byte[c] for c in written)

  lines = merges.split('\n')
  if lines[0].startswith('#version'):
    lines = lines[1:]
  found = [bytes([b]) for b in letters + rest]
  found += [token(line.replace(' ', '')) for line in lines if line.strip()]
  ranks = {t: i for i, t in enumerate(found)}
  known = {token(t): i for t, i in vocabulary.items() if t != EOS}
  if ranks != known:
    raise ValueError
  return ranks


def files(where: str) -> tuple[pathlib.Path, pathlib.Path]:
  """Merges and vocabulary in a folder; FileNotFoundError if it lacks them."""
  folder = pathlib.Path(where).expanduser()
  for merges, vocabulary in FILES:
    if (folder / merges).is_file() and (folder / vocabulary).is_file():
      return folder / merges, folder / vocabulary
  raise FileNotFoundError(
    f'gpt2:{where}: needs a folder with '
    + ', or with '.join(' and '.join(pair) for pair in FILES)
  )


def make(model: bytes) -> Tokenizer:
  """The tokenizer of lines `base64-of-token rank`."""
  tiktoken = _tiktoken()
  pairs = (line.split() for line in model.splitlines())
  ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
  V = len(ranks) + 1
  encoding = tiktoken.Encoding(
    'gpt2', pat_str=_WORDS, mergeable_ranks=ranks, special_tokens={EOS: V - 1}
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
    name=f'gpt2-{hashlib.sha256(model).hexdigest()[:8]}',
    V=V,
    eos=V - 1,
    byte_lengths=lengths,
    encode=encode,
    decode=decode,
    model=model,
    cut=before_space,
  )


def _tiktoken():
  try:
    import tiktoken
    import tiktoken.load
  except ImportError:
    raise ValueError(
      "tokenizer gpt2 needs the extra `gpt2`: pip install 'extrapolation[gpt2]'"
    ) from None
  return tiktoken


def _is_cached() -> bool:
  """Whether tiktoken has the files: then it asks no network."""
  folder = os.environ.get(
    'TIKTOKEN_CACHE_DIR', os.environ.get('DATA_GYM_CACHE_DIR')
  )
  folder = pathlib.Path(
    folder or os.path.join(tempfile.gettempdir(), 'data-gym-cache')
  )
  names = (hashlib.sha1((URL + f).encode()).hexdigest() for f in FILES[0])
  return all((folder / name).exists() for name in names)
