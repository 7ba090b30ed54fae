import hashlib

import numpy as np
import pytest

from extrapolation.data import SPLITS, splits
from extrapolation.data.sources import corpora
from extrapolation.data.tokenizers.tokenizer import PIECE

from .conftest import prose


def gather(root, separator='', where='', **others):
  source = f'files:{root}{where}'
  options = corpora.Options(separator)
  found = corpora.parts(source, options=options, **others)
  path = root.parent / 'text'
  text = splits.gather(found, path)
  return text, {
    s: [''.join(d).encode() for d in text.documents(s)] for s in text.spans
  }


def numbered(n, lines=3):
  return {f'{i}.txt': f'{i}\n' + prose(lines, seed=i) for i in range(n)}


def test_every_document_is_in_one_split_and_none_is_lost(write):
  files = numbered(300)
  text, found = gather(write(files))
  read = [d for s in SPLITS for d in found[s]]
  assert sorted(read) == sorted(t.encode() for t in files.values())
  assert 5 < len(found['valid']) < 30 and 5 < len(found['test']) < 30
  for split, documents in found.items():
    assert text.bytes(split) == sum(map(len, documents))
    assert text.sha256(split) == hashlib.sha256(b''.join(documents)).hexdigest()


def test_a_file_keeps_its_split_when_others_come(write):
  _, some = gather(write(numbered(200)))
  _, more = gather(write(numbered(400)))
  for split in SPLITS:
    assert set(some[split]) <= set(more[split])


def test_separated_documents_are_split_by_their_text(write):
  documents = [f'{i % 90}\n' + prose(2, seed=i % 90) for i in range(180)]
  root = write({'a.txt': '##\n'.join(documents)})
  text, found = gather(root, '##')
  assert sum(map(len, found.values())) == 180
  for a, b in (('train', 'valid'), ('train', 'test'), ('valid', 'test')):
    assert found[a] and found[b] and not set(found[a]) & set(found[b])
  assert sum(text.bytes(s) for s in text.spans) == len(''.join(documents))


def test_given_splits_stay_and_only_the_missing_are_held_out(write):
  root = write(
    {'train.txt': '##\n'.join(numbered(100).values()), 'valid.txt': 'valid\n'}
  )
  _, found = gather(root, '##')
  assert found['valid'] == [b'valid\n']
  assert len(found['train']) + len(found['test']) == 100 and found['test']


def test_splits_without_train(write):
  _, found = gather(write({'valid.txt': 'v\n', 'test.txt': 't\n'}))
  assert found == {'valid': [b'v\n'], 'test': [b't\n']}


@pytest.mark.parametrize('count', [3, 4, 10])
def test_few_documents_still_fill_three_splits(write, count):
  _, found = gather(write(numbered(count)))
  assert [len(found[s]) for s in SPLITS] == [count - 2, 1, 1]


@pytest.mark.parametrize('count', [1, 2])
def test_one_or_two_documents_are_cut_at_line_ends(write, count):
  files = numbered(count, lines=200)
  _, found = gather(write(files))
  for i, whole in enumerate(files.values()):
    parts = [found[s][i] for s in SPLITS]
    assert b''.join(parts) == whole.encode()
    assert all(p.endswith(b'\n') for p in parts)
    np.testing.assert_allclose(
      [len(p) / len(whole) for p in parts], [0.9, 0.05, 0.05], atol=0.02
    )


def test_one_long_line_is_not_cut_inside_a_character(write):
  whole = '\u20ac\U0001f600' * 1000
  _, found = gather(write({'a.txt': whole}))
  assert ''.join(found[s][0].decode() for s in SPLITS) == whole


def test_a_single_file_with_a_valid_of_its_own(write):
  root = write({'a.txt': prose(300), 'b.txt': 'v\n'})
  found = gather(root, where='/a.txt', valid=f'files:{root}/b.txt')[1]
  assert found['valid'] == [b'v\n']
  assert (found['train'][0] + found['test'][0]).decode() == prose(300)


@pytest.mark.parametrize(
  'files, separator, says',
  [
    ({'a.txt': ''}, '', 'is empty: a file without text'),
    ({'a.txt': '##\n##\n'}, '##', 'is empty'),
    ({'a.txt': 'short'}, '##', "no line of .* is the separator '##'"),
    ({'a.txt': 'a\n'}, '', "split 'valid' of .* is empty: 2 bytes in 1 doc"),
    (
      {'train.txt': prose(99), 'valid.txt': ''},
      '',
      "split 'valid' .* data.valid",
    ),
    ({'train.txt': '', 'valid.txt': 'v\n'}, '', "split 't.*' .* is empty"),
  ],
)
def test_too_little_text(write, files, separator, says):
  root = write(files)
  with pytest.raises(ValueError, match=says) as error:
    gather(root, separator)
  assert str(root) in str(error.value) and '\n' not in str(error.value)


def test_long_documents_come_in_pieces_and_a_sample_is_spread_evenly(write):
  files = {'train.txt': prose(9000), 'valid.txt': 'v\n', 'test.txt': 't\n'}
  text, _ = gather(write(files))
  pieces = list(next(text.documents('train')))
  assert max(len(p.encode()) for p in pieces) <= PIECE
  assert list(text.sample(10**9)) == pieces
  some = list(text.sample(len(prose(9000)) // 4))
  assert 0.2 < len(some) / len(pieces) < 0.3
  assert np.diff([pieces.index(p) for p in some]).max() <= 6
