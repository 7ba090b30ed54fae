"""BPE and unigram vocabularies, learned by SentencePiece, without loss."""

import hashlib
import io
import re
from collections.abc import Iterable

import numpy as np
import sentencepiece as spm
from jaxtyping import Int32, Integer

from extrapolation.data.tokenizers.tokenizer import (
  PIECE,
  Tokenizer,
  cut_text,
  valid_ids,
)

# Text that any normalisation would change.
_PROBE = '  A  b\t\r\n\xe9e\u0301\u20ac\u2581\ufb01\xa0\U0001f600 0123 '
_SPACE = '\u2581'  # how sentencepiece writes a space, so it needs care itself


def train(kind: str, vocab: int, texts: Iterable[str]) -> Tokenizer:
  """A vocabulary of `vocab` tokens, 'bpe' or 'unigram', of these texts.

  Normalisation is the identity and unknown characters fall back to bytes.

  Raises:
    ValueError: a vocabulary that the text does not allow; says which one it
      does.
  """
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
  return make(f'{kind}{vocab}', model.getvalue())


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


def make(kind: str, model: bytes) -> Tokenizer:
  """The tokenizer of a serialised model with byte fallback.

  Raises:
    ValueError, RuntimeError: it is none.
  """
  sp = spm.SentencePieceProcessor(model_proto=model)
  V = sp.vocab_size()
  by_byte = [sp.piece_to_id(f'<0x{b:02X}>') for b in range(256)]
  if not 0 <= sp.eos_id() < V or not all(map(sp.is_byte, by_byte)):
    raise ValueError('its model has no end of text, or lacks some of the bytes')
  special = np.array([sp.is_control(i) or sp.is_unknown(i) for i in range(V)])
  lengths = np.array([_byte_length(sp, i) for i in range(V)], np.int32)
  # sentencepiece takes its own mark for a space; its bytes are safe.
  mark = [by_byte[b] for b in _SPACE.encode()]

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

  made = Tokenizer(
    name=f'{kind}-{hashlib.sha256(model).hexdigest()[:8]}',
    V=V,
    eos=sp.eos_id(),
    byte_lengths=np.where(special, 0, lengths).astype(np.int32),
    encode=encode,
    decode=decode,
    model=model,
  )
  ids = encode(_PROBE)
  size = made.byte_lengths[ids].sum()
  if decode(ids) != _PROBE or size != len(_PROBE.encode()):
    raise ValueError('its model does not give back the text that it reads')
  return made


def _byte_length(sp: spm.SentencePieceProcessor, token: int) -> int:
  if sp.is_byte(token):
    return 1
  return len(sp.id_to_piece(token).replace(_SPACE, ' ').encode())
