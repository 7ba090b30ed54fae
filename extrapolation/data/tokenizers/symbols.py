"""A tokenizer of single characters: the vocabulary of a probe."""

import functools
import hashlib
import json

import numpy as np
from jaxtyping import Int32, Integer

from extrapolation.data.tokenizers.tokenizer import Tokenizer, valid_ids

MOST = 1 << 16  # symbols; any that is read is somebody's


def make(symbols: str, first: int) -> Tokenizer:
  """Id i is the character symbols[i].

  Nothing ends a document: `first` takes the place of eos, an id that may stand
  in front of anything.
  """
  model = json.dumps({'symbols': symbols, 'first': first})
  return load(model.encode())


@functools.lru_cache(maxsize=64)  # a run asks again and again
def load(model: bytes) -> Tokenizer:
  """The tokenizer of a serialised model, as `make` writes it.

  Raises:
    ValueError, KeyError, TypeError: it is none.
  """
  about = json.loads(model)
  symbols, first = about['symbols'], about['first']
  if not isinstance(symbols, str) or not 1 <= len(symbols) <= MOST:
    raise ValueError('its symbols are not a text')
  if len({*symbols}) < len(symbols) or type(first) is not int:
    raise ValueError('its symbols occur twice, or its first id is no number')
  if not 0 <= first < len(symbols):
    raise ValueError(f'its first id is {first}')
  V, ids = len(symbols), {symbol: i for i, symbol in enumerate(symbols)}

  def encode(text: str) -> Int32[np.ndarray, ' n']:
    if unknown := [x for x in text if x not in ids]:
      raise ValueError(
        f'{unknown[0]!r} is no symbol of this vocabulary; there are '
        f'{symbols[:80]}{"..." if V > 80 else ""}'
      )
    return np.array([ids[x] for x in text], np.int32)

  def decode(tokens: Integer[np.ndarray, ' n']) -> str:
    return ''.join(symbols[i] for i in valid_ids(tokens, V).tolist())

  return Tokenizer(
    name=f'symbols{V}-{hashlib.sha256(model).hexdigest()[:8]}',
    V=V,
    eos=first,
    byte_lengths=np.array([len(x.encode()) for x in symbols], np.int32),
    encode=encode,
    decode=decode,
    model=model,
    cut=lambda block: 0,
  )
