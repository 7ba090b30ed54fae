import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extrapolation.data import tokenizers
from extrapolation.data.tokenizers.tokenizer import pieces

from .conftest import prose

# Everything sentencepiece is known to treat specially, and its own markup.
HARD = [
  '\u2581', '\u2585', ' \u2047 ', '\0', '\n', '\n\n\n', '\r\n', '\r', '\t', ' ',
  '   ', '\u2028', '\ufeff', '\ufffd', '\u200d', 'e\u0301', '\U0001f600', '<s>',
  '</s>', '<unk>', '<pad>', '<0x41>', 'the', ' token', '.\n', '12',
]  # fmt: skip
TEXT = st.lists(
  st.sampled_from(HARD) | st.text(st.characters(exclude_categories=['Cs']))
).map(''.join)
EVERYTHING = ''.join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


@pytest.fixture(scope='module', params=tokenizers.KINDS)
def tokenizer(request):
  return tokenizers.train(request.param, 330, [prose(400)])


def check(tokenizer, text):
  ids = tokenizer.encode(text)
  assert ids.dtype == np.int32 and ids.ndim == 1
  assert tokenizer.decode(ids) == text
  assert tokenizer.byte_lengths[ids].sum() == len(text.encode())
  assert tokenizer.eos not in ids


@given(text=TEXT)
@example(text='')
@example(text=''.join(HARD))
@settings(max_examples=80, deadline=None)
def test_round_trip_and_bytes(tokenizer, text):
  check(tokenizer, text)


def test_round_trip_of_every_character(tokenizer):
  check(tokenizer, EVERYTHING)


def test_round_trip_of_long_text(tokenizer):
  for text in (prose(2000), 'x' * 30_000, '\u20ac' * 10_000, ' ' * 20_000):
    check(tokenizer, text)


def test_pieces_are_cut_after_lines_and_encode_alike(tokenizer):
  data = prose(2000).encode()
  cut = list(pieces(lambda a, b: data[a:b], 0, len(data)))
  assert len(cut) > 5 and ''.join(cut).encode() == data
  assert all(p.endswith('\n') for p in cut)
  ids = np.concatenate([tokenizer.encode(p) for p in cut])
  np.testing.assert_array_equal(ids, tokenizer.encode(data.decode()))


def test_special_tokens_stand_for_no_text(tokenizer):
  lengths = tokenizer.byte_lengths
  assert lengths.shape == (tokenizer.V,) and lengths.dtype == np.int32
  special = np.flatnonzero(lengths == 0)
  assert tokenizer.eos in special
  assert tokenizer.decode(special) == ''
  ids = tokenizer.encode('the key')
  mixed = np.insert(ids, 1, special)
  assert tokenizer.decode(mixed) == 'the key'


def test_ids_of_no_text_decode_to_replacement_characters(tokenizer):
  half = tokenizer.encode('\u20ac')[:2]
  assert set(tokenizer.decode(half)) == {'\ufffd'}


def test_a_saved_tokenizer_is_the_same(tokenizer, tmp_path):
  tokenizer.save(tmp_path / 't.json')
  again = tokenizers.load(tmp_path / 't.json')
  assert (again.name, again.V, again.eos) == (
    tokenizer.name,
    tokenizer.V,
    tokenizer.eos,
  )
  np.testing.assert_array_equal(again.byte_lengths, tokenizer.byte_lengths)
  text = prose(20, seed=1)
  np.testing.assert_array_equal(again.encode(text), tokenizer.encode(text))


@pytest.mark.parametrize('text', ['', '{}', '[]', '{"name": 1, "model": 2}'])
def test_a_file_that_is_no_tokenizer(tmp_path, text):
  (tmp_path / 't.json').write_text(text)
  with pytest.raises(ValueError, match=r't\.json is not a saved tokenizer'):
    tokenizers.load(tmp_path / 't.json')


def test_a_changed_tokenizer_file(tmp_path):
  tokenizers.train('bpe', 300, [prose(50)]).save(tmp_path / 't.json')
  saved = (tmp_path / 't.json').read_text()
  (tmp_path / 't.json').write_text(saved.replace('bpe300-', 'bpe300-0'))
  with pytest.raises(ValueError, match='or damaged'):
    tokenizers.load(tmp_path / 't.json')


@pytest.mark.parametrize('kind', ['bpe', 'unigram'])
def test_training_is_deterministic_and_hits_the_size(kind):
  first, second = (
    tokenizers.train(kind, 330, [prose(200)] * 2) for _ in range(2)
  )
  assert first.model == second.model and first.name == second.name
  assert first.V == 330 and first.name.startswith(f'{kind}330-')


def test_training_text_may_be_one_long_string():
  # sentencepiece by itself skips what is longer than a few pieces.
  assert tokenizers.train('bpe', 330, [prose(3000)]).V == 330


def test_bpe_merges_what_the_text_repeats():
  bpe = tokenizers.train('bpe', 400, [prose(400)])
  assert len(bpe.encode('the distance of the query')) <= 6


@pytest.mark.parametrize('kind', ['bpe', 'unigram'])
def test_a_vocabulary_the_text_does_not_allow(kind, capfd):
  with pytest.raises(ValueError, match=r'at most \d+$') as error:
    tokenizers.train(kind, 20_000, [prose(50)])
  most = int(str(error.value).rsplit(' ', 1)[1])
  assert tokenizers.train(kind, most, [prose(50)]).V == most
  with pytest.raises(ValueError, match='at most'):
    tokenizers.train(kind, most + 1, [prose(50)])
  for vocab in (1, 100, 270):
    with pytest.raises(ValueError, match=r'at least \d+$') as error:
      tokenizers.train(kind, vocab, [prose(50)])
  least = int(str(error.value).rsplit(' ', 1)[1])
  assert tokenizers.train(kind, least, [prose(50)]).V == least
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('vocab', [-1, 0])
@pytest.mark.parametrize('kind', ['bpe', 'unigram'])
def test_nonsense_sizes(kind, vocab, capfd):
  with pytest.raises(ValueError, match=f'vocab = {vocab}'):
    tokenizers.train(kind, vocab, [prose(50)])
  assert capfd.readouterr() == ('', '')


def test_no_text_to_train_on(capfd):
  with pytest.raises(ValueError, match='bpe'):
    tokenizers.train('bpe', 300, [])
  assert capfd.readouterr() == ('', '')


def test_unknown_kind_lists_the_others():
  with pytest.raises(ValueError, match="'gpt2'; there are bytes, bpe, unigram"):
    tokenizers.train('gpt2', 300, [])


def test_surrogates_are_refused_by_place(tokenizer):
  with pytest.raises(ValueError, match=r"'\\ud800' at character 2"):
    tokenizer.encode('ab\ud800')


def test_ids_outside_the_vocabulary_are_refused(tokenizer):
  for bad in (-1, tokenizer.V):
    with pytest.raises(ValueError, match=rf'\[0, {tokenizer.V}\)'):
      tokenizer.decode(np.array([0, bad]))


def test_importing_the_package_is_light():
  code = """
import sys, extrapolation.data
assert not {'jax', 'grain', 'sentencepiece', 'rich'} & {*sys.modules}
"""
  subprocess.run([sys.executable, '-c', code], check=True)
