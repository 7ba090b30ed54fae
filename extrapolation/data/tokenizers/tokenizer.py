"""The record of a tokenizer: text to token ids and back, without loss."""

import base64
import dataclasses
import json
import os
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Int32, Integer

from extrapolation.output import files

PIECE = 8192  # BPE slows down on longer text

Cut = Callable[[bytes], int]  # of a block, how much is a piece; 0 is anywhere


def after_line(block: bytes) -> int:
  """After the last newline; else before the last space."""
  return block.rfind(b'\n') + 1 or max(block.rfind(b' '), 0)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tokenizer:
  """A vocabulary of V tokens.

  encode: any str -> ids [n], int32, without eos; ValueError on a surrogate.
  decode: ids -> str; drops special tokens, and writes U+FFFD for bytes that
    are not UTF-8, so decode(encode(x)) == x.
  byte_lengths: [V], UTF-8 bytes each token stands for, 0 for special tokens;
    their sum over encode(x) is len(x.encode()).
  lossless: False if text may come back changed; byte_lengths are then 0, as
    nothing is known of the bytes that a token stands for.
  eos: id that ends a document. name: kind, size and digest of the model.
  cut: where long text is cut, see `pieces`.
  """

  name: str
  V: int
  eos: int
  byte_lengths: Int32[np.ndarray, ' V']
  encode: Callable[[str], Int32[np.ndarray, ' n']]
  decode: Callable[[Integer[np.ndarray, ' n']], str]
  model: bytes = dataclasses.field(default=b'', repr=False)
  cut: Cut = after_line
  lossless: bool = True

  def dumps(self) -> str:
    """All that `load` needs, as the text of one JSON file."""
    model = base64.b64encode(self.model).decode()
    return json.dumps({'name': self.name, 'model': model}) + '\n'

  def save(self, path: str | os.PathLike) -> None:
    """Writes `dumps` to a file, atomically."""
    files.write_text(path, self.dumps())


def byte_level() -> Tokenizer:
  """The 256 bytes and eos."""

  def encode(text: str) -> Int32[np.ndarray, ' n']:
    return np.frombuffer(_utf8(text), np.uint8).astype(np.int32)

  def decode(ids: Integer[np.ndarray, ' n']) -> str:
    ids = valid_ids(ids, 257)
    return bytes(ids[ids < 256].astype(np.uint8)).decode(errors='replace')

  return Tokenizer(
    name='bytes',
    V=257,
    eos=256,
    byte_lengths=np.array([1] * 256 + [0], np.int32),
    encode=encode,
    decode=decode,
  )


def pieces(
  read: Callable[[int, int], bytes],
  start: int,
  end: int,
  cut: Cut = after_line,
) -> Iterator[str]:
  """Cuts UTF-8 text into at most PIECE bytes, where `cut` says.

  A function of the text alone, so encoding a document and encoding it piece
  by piece are the same. `read(start, end)` gives the bytes of the range.
  """
  while end - start > PIECE:
    block = read(start, start + PIECE)
    length = cut(block)
    if length <= 0:  # before the last character
      length = len(block.rstrip(bytes(range(0x80, 0xC0)))) - 1
    yield block[:length].decode()
    start += length
  yield read(start, end).decode()


def cut_text(text: str, cut: Cut = after_line) -> Iterator[str]:
  """The pieces of a text; ValueError for a lone surrogate."""
  data = _utf8(text)
  return pieces(lambda start, end: data[start:end], 0, len(data), cut)


def _utf8(text: str) -> bytes:
  try:
    return text.encode()
  except UnicodeEncodeError as error:
    raise ValueError(
      f'text has a lone surrogate, {text[error.start]!a} at character '
      f'{error.start}; that is no Unicode text, replace it'
    ) from None


def valid_ids(
  ids: Integer[np.ndarray, ' n'], V: int
) -> Integer[np.ndarray, ' n']:
  """The same ids, int64; ValueError unless they lie in [0, V)."""
  ids = np.asarray(ids, np.int64).reshape(-1)
  if ids.size and not (0 <= ids.min() and ids.max() < V):
    raise ValueError(
      f'token ids must lie in [0, {V}); got {ids.min()}..{ids.max()}'
    )
  return ids
