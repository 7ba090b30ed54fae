"""Tokenizers of the user's own: lossless, or said not to be."""

import io
import json

import numpy as np
import pytest
import sentencepiece as spm
import tokenizers as hf

from extrapolation import data
from extrapolation.data import load_tokenizer, tokenizers

from .conftest import prose

TEXT = prose(3000)


def sentencepiece(**options) -> bytes:
  model = io.BytesIO()
  settings = dict(vocab_size=150, minloglevel=3, model_type='unigram') | options
  spm.SentencePieceTrainer.train(
    sentence_iterator=iter(TEXT.splitlines()), model_writer=model, **settings
  )
  return model.getvalue()


def lossless_sentencepiece() -> bytes:
  return sentencepiece(
    byte_fallback=True,
    normalization_rule_name='identity',
    remove_extra_whitespaces=False,
    add_dummy_prefix=False,
    user_defined_symbols=['\n', '\u2581\u2581'],
    vocab_size=500,
  )


def byte_level(special=('<|endoftext|>',)) -> bytes:
  """As GPT-2's, and most that people train."""
  made = hf.Tokenizer(hf.models.BPE())
  made.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
  made.decoder = hf.decoders.ByteLevel()
  trainer = hf.trainers.BpeTrainer(
    vocab_size=400,
    special_tokens=[*special],
    initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  made.train_from_iterator([TEXT], trainer)
  return made.to_str().encode()


def lower_case() -> bytes:
  """As BERT's."""
  made = hf.Tokenizer(hf.models.WordPiece(unk_token='[UNK]'))
  made.normalizer = hf.normalizers.Lowercase()
  made.pre_tokenizer = hf.pre_tokenizers.Whitespace()
  trainer = hf.trainers.WordPieceTrainer(
    vocab_size=300, special_tokens=['[UNK]', '[SEP]'], show_progress=False
  )
  made.train_from_iterator([TEXT], trainer)
  made.enable_truncation(4)
  made.enable_padding(length=9)
  return made.to_str().encode()


def given(tmp_path, model: bytes, name: str):
  (tmp_path / name).write_bytes(model)
  return tokenizers.given(f'file:{tmp_path}/{name}')


@pytest.mark.parametrize(
  'make, name, eos',
  [(byte_level, 'tokenizer.json', '<|endoftext|>')],
)
def test_a_lossless_one_gives_text_back(tmp_path, make, name, eos):
  made = given(tmp_path, make(), name)
  assert made.lossless and json.loads(make())['model']['vocab'][eos] == made.eos
  for text in (TEXT[:5000], '\u4e2d\u6587 \U0001f600\t\x01  \n\n é'):
    ids = made.encode(text)
    assert made.decode(ids) == text
    assert made.byte_lengths[ids].sum() == len(text.encode())
    assert 0 <= ids.min() and ids.max() < made.V


@pytest.mark.parametrize(
  'make, name',
  [
    (sentencepiece, 'm.model'),
    (lossless_sentencepiece, 'nearly.model'),  # a mark in text becomes a space
    (lower_case, 'tokenizer.json'),
  ],
)
def test_one_that_changes_text_is_said_to(write, tmp_path, make, name, capsys):
  made = given(tmp_path, make(), name)
  assert not made.lossless and not made.byte_lengths.any()
  ids = made.encode(TEXT[:3000])
  assert len(ids) > 4 and ids.max() < made.V  # neither cut nor padded
  text = write({f'{s}.txt': TEXT for s in data.SPLITS})
  prepared = data.prepare(
    source=f'files:{text}',
    tokenizer=f'file:{tmp_path}/{name}',
    cache=str(tmp_path / 'cache'),
  )
  assert 'may change text' in capsys.readouterr().err
  assert prepared.bytes('test') == len(TEXT.encode())
  again = load_tokenizer(prepared.folder / 'tokenizer.json')
  assert (again.name, again.V, again.eos) == (made.name, made.V, made.eos)
  np.testing.assert_array_equal(
    again.encode(TEXT[:999]), made.encode(TEXT[:999])
  )


def test_a_vocabulary_without_an_end_gets_one(tmp_path):
  made = given(tmp_path, byte_level(special=()), 'tokenizer.json')
  count = len(json.loads(byte_level(special=()))['model']['vocab'])
  assert made.eos == count and made.V == count + 1
  assert made.eos not in made.encode(TEXT)
  assert made.decode([made.eos, *made.encode('a')]) == 'a'


def test_the_key_is_of_its_content(tmp_path):
  given(tmp_path, byte_level(), 'a.json')
  given(tmp_path, byte_level(), 'b.json')
  given(tmp_path, byte_level(special=()), 'c.json')
  a, b, c = (tokenizers.key(f'file:{tmp_path}/{n}.json', 9) for n in 'abc')
  assert a == b != c


@pytest.mark.parametrize('content', [b'', b'{', b'{}', b'\0\1', b'words'])
def test_what_is_none_is_one_line(tmp_path, content):
  with pytest.raises(
    ValueError, match='neither a SentencePiece model'
  ) as error:
    given(tmp_path, content, 'x.model')
  assert '\n' not in str(error.value)
