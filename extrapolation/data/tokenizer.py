"""Tokenizers: text to token ids and back, without loss."""

import base64
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Int32, Integer

KINDS = ('bytes', 'bpe', 'unigram')
PIECE = 8192  # BPE slows down on longer text
_SPACE = '\u2581'  # how sentencepiece writes a space, so it needs care itself


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

  def save(self, path: str | os.PathLike) -> None:
    """Writes all that `load` needs as one JSON file."""
    model = base64.b64encode(self.model).decode()
    text = json.dumps({'name': self.name, 'model': model})
    pathlib.Path(path).write_text(text + '\n', encoding='utf-8')


def load(path: str | os.PathLike) -> Tokenizer:
  """Tokenizer that `Tokenizer.save` wrote; ValueError for any other file."""
  try:
    saved = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
    name, model = saved['name'], base64.b64decode(saved['model'])
  except (ValueError, KeyError, TypeError):
    raise ValueError(f'{path} is not a saved tokenizer, or damaged') from None
  if name.startswith('gpt2'):
    from extrapolation.data import gpt2

    made = gpt2.make(model)
  elif model:
    made = sentencepiece(name.split('-')[0], model)
  else:
    made = byte_level()
  if made.name != name:
    raise ValueError(f'{path} is damaged: it holds {made.name}, not {name}')
  return made


def train(kind: str, vocab: int, texts: Iterable[str]) -> Tokenizer:
  """Tokenizer of a kind in KINDS; `texts` and `vocab` are unused by `bytes`.

  Raises ValueError for a vocabulary that the text does not allow, saying
  which one it does.
  """
  if kind == 'bytes':
    return byte_level()
  if kind not in KINDS:
    raise ValueError(f'no tokenizer {kind!r}; there are {", ".join(KINDS)}')
  import sentencepiece as spm

  model = io.BytesIO()
  try:
    spm.SentencePieceTrainer.train(
      sentence_iterator=(p for text in texts for p in cut_text(text)),
      model_writer=model,
      model_type=kind,
      vocab_size=max(vocab, 260),  # fewer fails before it looks at the text
      num_threads=1,  # unigram depends on it
      character_coverage=1.0,
      byte_fallback=True,
      normalization_rule_name='identity',
      remove_extra_whitespaces=False,
      add_dummy_prefix=False,
      allow_whitespace_only_pieces=True,
      split_digits=True,
      max_sentence_length=2 * PIECE,
      pad_id=0,
      bos_id=1,
      eos_id=2,
      unk_id=3,
      minloglevel=3,
    )
  except RuntimeError as error:
    raise ValueError(_explain(kind, vocab, str(error))) from None
  return sentencepiece(f'{kind}{vocab}', model.getvalue())


def _explain(kind: str, vocab: int, message: str) -> str:
  if most := re.search(r'too high.*<= (\d+)', message):
    return (
      f'vocab = {vocab} is more than the training text allows for {kind}: '
      f'at most {most[1]}'
    )
  if least := re.search(r'smaller than required_chars\. \d+ vs (\d+)', message):
    return (
      f'vocab = {vocab} is too small for {kind}: the 256 bytes and the '
      f"text's own characters need at least {least[1]}"
    )
  if 'sentences_.empty' in message:
    return f'there is no text to train {kind} on'
  return f'cannot train {kind} with vocab = {vocab}: {message.splitlines()[0]}'


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


def sentencepiece(kind: str, model: bytes) -> Tokenizer:
  """Tokenizer of a serialised sentencepiece model with byte fallback."""
  import sentencepiece as spm

  sp = spm.SentencePieceProcessor(model_proto=model)
  V = sp.vocab_size()
  special = np.array([sp.is_control(i) or sp.is_unknown(i) for i in range(V)])
  lengths = np.array(
    [
      1
      if sp.is_byte(i)
      else len(sp.id_to_piece(i).replace(_SPACE, ' ').encode())
      for i in range(V)
    ],
    np.int32,
  )
  # sentencepiece takes its own mark for a space; its bytes are safe.
  mark = [sp.piece_to_id(f'<0x{b:02X}>') for b in _SPACE.encode()]

  def encode(text: str) -> Int32[np.ndarray, ' n']:
    ids = []
    for piece in cut_text(text):
      first, *rest = piece.split(_SPACE)
      ids += sp.encode(first)
      for part in rest:
        ids += mark
        ids += sp.encode(part)
    return np.array(ids, np.int32)

  def decode(ids: Integer[np.ndarray, ' n']) -> str:
    ids = valid_ids(ids, V)
    return sp.decode(ids[~special[ids]].tolist())

  return Tokenizer(
    name=f'{kind}-{hashlib.sha256(model).hexdigest()[:8]}',
    V=V,
    eos=sp.eos_id(),
    byte_lengths=np.where(special, 0, lengths).astype(np.int32),
    encode=encode,
    decode=decode,
    model=model,
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
