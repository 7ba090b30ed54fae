import json
import socket
import sys

import numpy as np
import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from extrapolation import data
from extrapolation.data import tokenizers
from extrapolation.data.tokenizers import gpt2

from .conftest import prose
from .test_tokenizer import EVERYTHING, HARD, TEXT, check

LETTERS = [b for b in range(256) if chr(b).isprintable() and b != 32]
REST = [b for b in range(256) if b not in LETTERS]
WRITTEN = {b: chr(b) for b in LETTERS} | {
  b: chr(256 + i) for i, b in enumerate(REST)
}
MERGES = [
  (b't', b'h'), (b'th', b'e'), (b' ', b'the'), (b'#', b'#'), (b'\n', b'\n'),
  (b' ', b' '), (b'i', b'n'), (b'in', b'g'), (b'\xe2', b'\x96'),
]  # fmt: skip


def written(token):
  return ''.join(WRITTEN[b] for b in token)


def files():
  """Merges and vocabulary, as GPT-2's files have them, of nine merges."""
  tokens = [bytes([b]) for b in LETTERS + REST] + [a + b for a, b in MERGES]
  merges = [f'{written(a)} {written(b)}\n' for a, b in MERGES]
  vocabulary = {written(t): i for i, t in enumerate(tokens)}
  vocabulary[gpt2.EOS] = len(tokens)
  return '#version: 0.2\n' + ''.join(merges), json.dumps(vocabulary)


@pytest.fixture
def folder(write):
  return write(dict(zip(gpt2.FILES[0], files(), strict=True)))


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  folder = tmp_path_factory.mktemp('gpt2')
  for name, text in zip(gpt2.FILES[0], files(), strict=True):
    (folder / name).write_text(text)
  return gpt2.load(str(folder))


@pytest.fixture(scope='module')
def referee(tokenizer):
  """tiktoken's own GPT-2, with these merges."""
  tokens = [bytes([b]) for b in LETTERS + REST] + [a + b for a, b in MERGES]
  return tiktoken.Encoding(
    'referee',
    pat_str=openai_public.r50k_pat_str,
    mergeable_ranks={t: i for i, t in enumerate(tokens)},
    special_tokens={gpt2.EOS: len(tokens)},
  )


def test_ids_are_those_of_the_files(tokenizer):
  assert tokenizer.V == 256 + len(MERGES) + 1 and tokenizer.eos == 265
  the = json.loads(files()[1])[written(b' the')]
  assert tokenizer.encode(' the').tolist() == [the]
  assert tokenizer.encode('<|endoftext|>').size > 1  # text is text
  assert tokenizer.byte_lengths[the] == 4


@given(text=TEXT)
@example(text=''.join(HARD))
@example(text='\n\n\nthe  thing\u3000 \n the \x1c  a ' * 900)
@settings(max_examples=80, deadline=None)
def test_it_is_tiktoken_and_lossless(tokenizer, referee, text):
  check(tokenizer, text)
  expected = referee.encode_ordinary(text)
  np.testing.assert_array_equal(tokenizer.encode(text), expected)


def test_every_character_and_long_text(tokenizer, referee):
  check(tokenizer, EVERYTHING)
  text = prose(3000)
  np.testing.assert_array_equal(
    tokenizer.encode(text), referee.encode_ordinary(text)
  )
  check(tokenizer, 'x' * 30_000)


@given(st.text(st.sampled_from(' \n\t\u3000\xa0ab\u20ac'), max_size=60))
def test_no_cut_between_spaces(text):
  block = text.encode()
  length = gpt2.before_space(block)
  left, right = block[:length].decode(), block[length:].decode()
  if length:
    assert not left[-1].isspace() and right[0] in ' \n'


def test_saved_and_prepared(tokenizer, folder, write, tmp_path):
  tokenizer.save(tmp_path / 't.json')
  assert tokenizers.load(tmp_path / 't.json').name == tokenizer.name
  text = 'the thing\n' * 3000  # longer than a piece
  root = write({f'text/{s}.txt': text for s in ('train', 'valid', 'test')})
  made = data.prepare(
    source=f'files:{root}/text', tokenizer=f'gpt2:{folder}',
    cache=str(tmp_path / 'c'),
  )  # fmt: skip
  ids = made.tokens('train')
  np.testing.assert_array_equal(ids[:-1], made.tokenizer.encode(text))
  assert made.tokenizer.decode(ids) == text and ids[-1] == tokenizer.eos


def test_files_of_other_names(write):
  texts = files()
  root = write(dict(zip(gpt2.FILES[1], texts, strict=True)))
  assert gpt2.load(str(root)).V == 266
  (root / 'merges.txt').unlink()
  with pytest.raises(FileNotFoundError, match=r'vocab\.bpe and encoder\.json'):
    gpt2.load(str(root))


@pytest.mark.parametrize('damage', ['merge', 'json', 'cut', 'letters'])
def test_damaged_files(folder, damage):
  merges, vocabulary = files()
  texts = {
    'merge': (merges.replace('t h', 'h t'), vocabulary),
    'json': (merges, vocabulary[:-5]),
    'cut': (merges[: len(merges) // 2], vocabulary),
    'letters': (merges + 'a \u4e00\n', vocabulary),
  }[damage]
  for name, text in zip(gpt2.FILES[0], texts, strict=True):
    (folder / name).write_text(text)
  with pytest.raises(ValueError, match='or they are damaged') as error:
    gpt2.load(str(folder))
  assert str(folder) in str(error.value) and '\n' not in str(error.value)


def test_a_mended_file_is_read_anew(folder, monkeypatch, tmp_path):
  monkeypatch.setenv('TIKTOKEN_CACHE_DIR', str(tmp_path / 'tiktoken'))
  path = folder / gpt2.FILES[0][1]
  whole = path.read_text()
  path.write_text(whole.replace('264', '263'))
  with pytest.raises(ValueError, match='or they are damaged'):
    gpt2.load(str(folder))
  path.write_text(whole)
  assert gpt2.load(str(folder)).V == 266


def test_without_files_or_network(monkeypatch, tmp_path):
  monkeypatch.setenv('TIKTOKEN_CACHE_DIR', str(tmp_path))

  def no(*arguments, **kw):
    raise socket.gaierror('no network')

  monkeypatch.setattr(socket, 'getaddrinfo', no)
  with pytest.raises(ConnectionError, match='without one: gpt2:DIR'):
    gpt2.load()
  monkeypatch.setitem(sys.modules, 'tiktoken', None)
  with pytest.raises(ValueError, match=r"pip install 'extrapolation\[gpt2\]'"):
    gpt2.load()
