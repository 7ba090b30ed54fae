import gzip
import io
import lzma
import re
import zipfile

import pyarrow
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from extrapolation.data.sources import Input, documents, files, inputs
from extrapolation.data.sources.split_names import split_of

from .conftest import prose

ARTICLE = re.compile(r'(?m)^(?= \n = [^=\n].* = \n \n)')


def zipped(members, method=zipfile.ZIP_DEFLATED):
  out = io.BytesIO()
  with zipfile.ZipFile(out, 'w', method) as archive:
    for name, text in members.items():
      archive.writestr(name, text)
  return out.getvalue()


def table(**columns):
  out = io.BytesIO()
  parquet.write_table(pyarrow.table(columns), out)
  return out.getvalue()


def read(entry, separator=''):
  """Documents that are not empty."""
  found, held = [], b''
  for block in documents(entry, separator):
    if block is None:
      found, held = [*found, held], b''
    else:
      held += block
  assert not held
  return [d.decode() for d in found if d]


def article(title):
  return f' \n = {title} = \n \n One . \n \n = = Part = = \n \n Two . \n'


def test_names_of_splits():
  names = {
    'train.txt.xz': 'train', 'valid': 'valid', 'validation.txt': 'valid',
    'dev.gz': 'valid', 'val.txt': 'valid', 'wiki.valid.raw': 'valid',
    'wiki.train.tokens': 'train', 'test-00000-of-00002.parquet': 'test',
    'ptb.test.txt': 'test', 'my_train2.txt': 'train', 'trainData.txt': 'train',
    'data/TEST-01.txt': 'test', 'Validation/x.txt': 'valid',
    'training': 'train',
    'mytrain.txt': '', 'wiki.txt': '', 'value.txt': '', 'trainidation.txt': '',
    'latest.txt': '', 'device.txt': '', 'contest/a.txt': '',
  }  # fmt: skip
  assert {n: split_of(n) for n in names} == names


def test_articles_of_wikitext(write):
  text = 'before\n' + ''.join(map(article, ['A', 'B b', 'C = D']))
  text += ' \n = no blank line after = \n x\n = E = \n \n' + article('F')
  path = write({'a.txt': text}) / 'a.txt'
  expected = [a for a in ARTICLE.split(text) if a]
  assert read(Input('a', path), 'wikitext') == expected and len(expected) == 5


LINES = st.lists(
  st.sampled_from([' \n', ' = T = \n', ' = = S = = \n', 'x\n', ' = A\n', '\n'])
)


@example(
  lines=[' \n', ' = T = \n', ' \n', ' = T = \n', ' \n', 'x\n'], block=9, end=''
)
@given(lines=LINES, block=st.integers(1, 9), end=st.sampled_from(['', ' = T']))
@settings(max_examples=150, deadline=None)
def test_articles_are_those_of_the_expression(
  lines, block, end, tmp_path_factory
):
  text = ''.join(lines) + end
  path = tmp_path_factory.getbasetemp() / 'articles.txt'
  path.write_text(text)
  whole = inputs.BLOCK
  inputs.BLOCK = max(block, 12)  # longer than the longest line
  try:
    found = read(Input('a', path), 'wikitext')
  finally:
    inputs.BLOCK = whole
  assert found == [a for a in ARTICLE.split(text) if a]


def test_zip_holds_splits_or_documents(write):
  inside = {'w/wiki.train.tokens': 't', 'w/wiki.valid.tokens': 'v'}
  inside |= {'__MACOSX/w/wiki.test.tokens': 'm', 'w/.hidden': 'h'}
  root = write({'a.zip': zipped(inside), 'deep/readme': 'r'})
  for where in (root, root / 'a.zip'):
    found = {i.split: read(i) for i in files.read(str(where)).inputs}
    assert found == {'train': ['t'], 'valid': ['v']}
  root = write({'b.zip': zipped({'1.py': 'a', 'p/__init__.py': 'b'})})
  found = files.read(str(root / 'b.zip')).inputs
  assert [(i.name, read(i)) for i in found] == [
    ('b.zip/1.py', ['a']),
    ('b.zip/p/__init__.py', ['b']),
  ]


def test_packed_files_inside_a_zip(write):
  inside = {'a.xz': lzma.compress(b'one'), 'b.gz': gzip.compress(b'two')}
  root = write({'a.zip': zipped(inside)})
  assert [read(i) for i in files.read(str(root)).inputs] == [['one'], ['two']]


def test_folders_that_are_splits(write):
  root = write({'train/b.txt': 'b', 'train/a.txt': 'a', 'validation/c': 'c'})
  found = [(i.name, i.split) for i in files.read(str(root)).inputs]
  assert found == [
    ('train/a.txt', 'train'), ('train/b.txt', 'train'),
    ('validation/c', 'valid'),
  ]  # fmt: skip
  (root / 'src').mkdir()
  (root / 'src' / 'd').write_text('d')  # may be of any split, or of none
  with pytest.raises(
    ValueError, match='for 3 of 4 files, and nothing for src/d'
  ):
    files.read(str(root))
  found = files.read(str(root), by_names=False)
  assert {i.split for i in found.inputs} == {'train'}


def test_rows_are_documents_or_the_lines_of_articles(write):
  text = ''.join(map(article, ['A', 'B']))
  rows = ['' if not r.strip() else r for r in text.splitlines(keepends=True)]
  root = write(
    {
      'train-00000-of-00001.parquet': table(id=[1, 2], text=['a\nb', None]),
      'test-00000-of-00001.parquet': table(text=rows),
    }
  )
  test, train = files.read(str(root)).inputs
  assert (train.split, test.split) == ('train', 'test')
  assert read(train) == ['a\nb']
  assert read(test, 'wikitext') == [article('A'), article('B')]


@pytest.mark.parametrize(
  'columns, says',
  [
    (
      dict(a=['x'], b=['y']),
      "no field 'text'; .* could be in a, b; it has: a, b",
    ),
    (
      dict(content=['x'], code=['y'], n=[1]),
      'could be in content, code; it has',
    ),
    (dict(a=[1]), "has no field 'text'; it has: a; say which with data.field"),
    (dict(content=['x'], a=['y']), ''),
    (dict(text=['x'], content=['y']), ''),
    (dict(only=['x'], n=[1]), ''),
  ],
)
def test_which_column_is_text(write, columns, says):
  path = write({'a.parquet': table(**columns)}) / 'a.parquet'
  entry = Input('a', path, kind='parquet')
  if not says:
    assert read(entry) == ['x']
    return
  with pytest.raises(ValueError, match=says) as error:
    read(entry)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('suffix', ['zip', 'parquet'])
@pytest.mark.parametrize('damage', ['cut', 'flip', 'empty'])
def test_damaged_archives(write, suffix, damage):
  text = prose(3000)
  good = zipped({'a.txt': text}) if suffix == 'zip' else table(text=[text])
  middle = len(good) // 2
  data = {
    'cut': good[:middle],
    'flip': good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :],
    'empty': b'',
  }[damage]
  path = write({f'a.{suffix}': data}) / f'a.{suffix}'
  with pytest.raises(ValueError) as error:
    found = [read(i) for i in files.read(str(path)).inputs]
    if suffix == 'parquet':  # it has no checksum of pages unless asked for
      assert found != [[text]]
      raise ValueError(f'{path} differs')
  assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_zip_that_is_encrypted_or_empty(write):
  data = bytearray(zipped({'a.txt': 'x'}, zipfile.ZIP_STORED))
  data[6] |= 1  # flag of the file, and of its entry in the directory
  data[data.index(b'PK\x01\x02') + 8] |= 1
  root = write({'a.zip': bytes(data), 'b.zip': zipped({})})
  for name, says in (('a', 'is encrypted'), ('b', 'holds no files')):
    with pytest.raises(ValueError, match=says):
      files.read(str(root / f'{name}.zip'))
