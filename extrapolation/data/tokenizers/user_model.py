"""Tokenizers of the user's own: a SentencePiece model, a tokenizer.json.

They may change text (lower case, NFKC, a space in front): then perplexity is of
tokens, and bits per byte, which divide by bytes of text, are not known.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
import sentencepiece as spm
from jaxtyping import Int32, Integer

from extrapolation.data.tokenizers.tokenizer import (
  Tokenizer,
  cut_text,
  valid_ids,
)

# What those who trained a vocabulary call the end of a text.
_ENDS = ('</s>', '<|endoftext|>', '<|end_of_text|>', '<eos>', '[EOS]', '[SEP]')
# Text that any normalisation would change, in several scripts.
_PROBES = (
  '  A  b\t\r\n\xe9e\u0301\u20ac\u2581\ufb01\xa0\U0001f600 0123 \n',
  'Plain Words, of a sentence.\nAnd another\n',
)
_SPACE = '\u2581'  # how sentencepiece writes a space


def kind_of(model: bytes) -> str:
  """'huggingface' for a tokenizer.json, else 'sentencepiece'."""
  return 'huggingface' if model.lstrip()[:1] == b'{' else 'sentencepiece'


def make(model: bytes) -> Tokenizer:
  """The tokenizer of a serialised model of one of GIVEN kinds.

  Raises:
    ValueError, RuntimeError: it is none, or needs the extra `hf`.
  """
  kind = kind_of(model)
  of = _huggingface if kind == 'huggingface' else _sentencepiece
  pieces, eos, special, encode_piece, decode_ids = of(model)
  V = len(pieces)
  if eos is None:  # a new token, which no text has
    eos, V, special = V, V + 1, [*special, True]
  is_special = np.array(special)

  def encode(text: str) -> Int32[np.ndarray, ' n']:
    ids = [i for piece in cut_text(text) for i in encode_piece(piece)]
    out = np.array(ids, np.int32)
    valid_ids(out, V)
    return out

  def decode(ids: Integer[np.ndarray, ' n']) -> str:
    ids = valid_ids(ids, V)
    return decode_ids(ids[~is_special[ids]].tolist())

  made = Tokenizer(
    name=f'{kind}-{hashlib.sha256(model).hexdigest()[:8]}',
    V=V,
    eos=eos,
    byte_lengths=np.zeros(V, np.int32),
    encode=encode,
    decode=decode,
    model=model,
    lossless=False,
  )
  for length in (_length_of_bytes, _length_of_text):
    lengths = np.zeros(V, np.int32)
    lengths[: len(pieces)] = [length(piece) for piece in pieces]
    lengths[is_special] = 0
    if all(_same(made, lengths, probe) for probe in _PROBES):
      return dataclasses.replace(made, byte_lengths=lengths, lossless=True)
  return made


def _same(made: Tokenizer, lengths: np.ndarray, text: str) -> bool:
  """Whether a text comes back, and each of its bytes is of one token."""
  ids = made.encode(text)
  same = made.decode(ids) == text
  return same and int(lengths[ids].sum()) == len(text.encode())


def _length_of_bytes(piece: str) -> int:
  """Of a byte-level vocabulary, in which a character is a byte."""
  return len(piece)


def _length_of_text(piece: str) -> int:
  if len(piece) == 6 and piece.startswith('<0x'):
    return 1
  return len(piece.replace(_SPACE, ' ').encode())


Read = tuple[
  Sequence[str],
  int | None,
  list[bool],
  Callable[[str], list[int]],
  Callable[[list[int]], str],
]


def _sentencepiece(model: bytes) -> Read:
  """(pieces, eos, whether each is special, encode, decode)."""
  sp = spm.SentencePieceProcessor(model_proto=model)
  ids = range(sp.vocab_size())
  eos = sp.eos_id() if 0 <= sp.eos_id() < len(ids) else None
  special = [sp.is_control(i) for i in ids]
  return [sp.id_to_piece(i) for i in ids], eos, special, sp.encode, sp.decode


def _huggingface(model: bytes) -> Read:
  try:
    import tokenizers
  except ImportError:
    raise ValueError(
      "a tokenizer.json needs the extra `hf`: pip install 'extrapolation[hf]'"
    ) from None
  try:
    of = tokenizers.Tokenizer.from_str(model.decode())
    added = json.loads(model).get('added_tokens') or []
  except Exception as e:  # the library raises no kind of its own
    raise ValueError(str(e).splitlines()[0][:200]) from None
  of.no_padding()
  of.no_truncation()
  vocabulary = of.get_vocab(with_added_tokens=True)
  if not vocabulary:
    raise ValueError('its vocabulary is empty')
  pieces = [''] * (max(vocabulary.values()) + 1)  # ids may have gaps
  for piece, i in vocabulary.items():
    pieces[i] = piece
  special = [False] * len(pieces)
  for token in added:
    special[token['id']] = bool(token.get('special'))
  eos = next((vocabulary[name] for name in _ENDS if name in vocabulary), None)

  def encode(text: str) -> list[int]:
    return of.encode(text, add_special_tokens=False).ids

  def decode(ids: list[int]) -> str:
    return of.decode(ids, skip_special_tokens=False)

  return pieces, eos, special, encode, decode
