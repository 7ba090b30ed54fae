import gzip
import lzma

import pytest

from extrapolation.data.sources import SPLITS, Input, corpora, documents, inputs

from .conftest import prose


def entries(source, **others):
  """Inputs of all parts."""
  return [i for p in corpora.parts(source, **others) for i in p.inputs]


def texts(source, separator='', **others):
  """Documents by input name, read in full."""
  found = {}
  for entry in entries(source, **others):
    blocks = list(documents(entry, separator))
    assert blocks[-1] is None
    found[entry.name] = [b''.join(b) for b in _until_none(blocks)]
  return found


def _until_none(blocks):
  document = []
  for block in blocks:
    if block is None:
      yield document
      document = []
    else:
      document.append(block)


def test_stdlib_is_source_code_without_tests_or_packages():
  found = entries('stdlib')
  names = [i.name for i in found]
  assert names == sorted(names)
  assert 'argparse.py' in names and 'json/decoder.py' in names
  folders = {part for name in names for part in name.split('/')[:-1]}
  assert not folders & {'test', 'tests', 'site-packages', 'encodings'}
  size = sum(i.path.stat().st_size for i in found)
  assert 5e6 < size < 5e7
  for entry in found[::50]:
    text = b''.join(b or b'' for b in documents(entry, ''))
    assert text == entry.path.read_bytes()


@pytest.mark.parametrize('suffix', ['txt', 'txt.gz', 'txt.xz'])
def test_one_file_plain_or_compressed(write, suffix):
  text = prose(50)
  pack = {'txt': bytes, 'txt.gz': gzip.compress, 'txt.xz': lzma.compress}
  root = write({f'a.{suffix}': pack[suffix](text.encode())})
  assert texts(f'files:{root}/a.{suffix}') == {f'a.{suffix}': [text.encode()]}


def test_folder_is_read_recursively_in_order_without_hidden_files(write):
  root = write(
    {'b.txt': 'b', 'a/z.txt': 'z', 'a/y.txt': 'y', '.git/x': 'x', '.x': 'x'}
  )
  names = [i.name for i in entries(f'files:{root}')]
  assert names == ['a/y.txt', 'a/z.txt', 'b.txt']


def test_glob_names_are_relative_to_its_fixed_part(write):
  root = write({'a/1.txt': 'a', 'b/1.txt': 'b', 'b/1.md': 'c', 'b/c/1.txt': ''})
  names = [i.name for i in entries(f'files:{root}/*/*.txt')]
  assert names == ['a/1.txt', 'b/1.txt']
  names = [i.name for i in entries(f'files:{root}/**/*.txt')]
  assert names == ['a/1.txt', 'b/1.txt', 'b/c/1.txt']


def test_relative_paths(write, monkeypatch):
  monkeypatch.chdir(write({'a.txt': 'a', 'b.txt': 'b'}))
  assert texts('files:*.txt') == {'a.txt': [b'a'], 'b.txt': [b'b']}
  assert texts('files:a.txt') == {'a.txt': [b'a']}


def test_folder_with_split_names_has_its_splits(write):
  files = {f'{s}.txt': s for s in ('train', 'valid', 'test', 'readme')}
  root = write(files | {'LICENSES/MIT': 'x'})
  found = {i.name: i.split for i in entries(f'files:{root}')}
  assert found == {f'{s}.txt': s for s in SPLITS}
  found = {i.name: i.split for i in entries(f'files:{root}/t*.txt')}
  assert found == {'train.txt': 'train', 'test.txt': 'test'}


def test_names_that_say_a_split_for_some_files_are_doubtful(write):
  root = write({'test.txt': 'a', 'b.txt': 'b'})
  with pytest.raises(ValueError, match=r'say test for 1 of 2 .* for b\.txt'):
    entries(f'files:{root}')
  (root / 'b.txt').unlink()  # alone it is a text
  assert {i.split for i in entries(f'files:{root}')} == {'train'}


def test_other_sources_for_valid_and_test(write):
  root = write(
    {'a/x.txt': 'x', 'b/train.txt': 't', 'b/valid.txt': 'v', 'c/y.txt': 'y'}
  )
  found = entries(f'files:{root}/b', valid=f'files:{root}/c')
  assert [(i.name, i.split) for i in found] == [
    ('train.txt', 'train'),
    ('y.txt', 'valid'),
  ]
  found = entries(
    f'files:{root}/a', valid=f'files:{root}/b', test=f'files:{root}/c/y.txt'
  )
  assert [(i.name, i.split) for i in found] == [
    ('x.txt', 'train'),
    ('valid.txt', 'valid'),
    ('y.txt', 'test'),
  ]


def test_separator_parts_documents_only_as_a_whole_line(write):
  text = 'a\n<|>\nb <|>\n<|> \n<|>c\r\n<|>\r\nd\u2028<|>\u2028e\n\n<|>\n<|>\n'
  root = write({'a.txt': text})
  (found,) = texts(f'files:{root}/a.txt', '<|>').values()
  whole = [
    b'a\n',
    b'b <|>\n<|> \n<|>c\r\n',
    'd\u2028<|>\u2028e\n\n'.encode(),
    b'',
  ]
  assert found == [*whole, b'']


def test_blocks_are_small_and_separators_found_across_them(write, monkeypatch):
  monkeypatch.setattr(inputs, 'BLOCK', 7)
  text = '\u20ac' * 9 + '###\n###\n' + 'x' * 28 + '###\n###\nlast'
  root = write({'a.txt': text})
  (found,) = texts(f'files:{root}/a.txt', '###').values()
  assert b'###\n'.join(found).decode() == text and len(found) == 3
  (found,) = texts(f'files:{root}/a.txt').values()
  assert found == [text.encode()]
  blocks = documents(Input('a.txt', root / 'a.txt'), '')
  assert max(len(b) for b in blocks if b) <= 7


@pytest.mark.parametrize(
  'source', ['wikitext', '', 'file:a', 'Files:a', 'STDLIB', 'tfds', 'hf']
)
def test_unknown_sources_list_the_forms(source):
  with pytest.raises(
    ValueError, match=r"'sample', 'stdlib', 'files:PATH'"
  ) as error:
    entries(source)
  assert repr(source) in str(error.value)


def test_a_bare_path_says_how_to_write_it(write):
  root = write({'a.txt': 'a'})
  with pytest.raises(ValueError, match=f'did you mean files:{root}'):
    entries(str(root))


@pytest.mark.parametrize(
  'where, says',
  [
    ('none.txt', 'no such file or folder'),
    ('*.none', 'matches no file'),
    ('empty', 'has no files'),
  ],
)
def test_missing_text(tmp_path, where, says):
  (tmp_path / 'empty').mkdir()
  with pytest.raises(FileNotFoundError, match=says) as error:
    entries(f'files:{tmp_path}/{where}')
  assert where in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('separator', ['', '###'])
@pytest.mark.parametrize(
  'data, says',
  [
    (b'ab\ncd\0ef', 'NUL byte at byte 5;'),
    ('caf\u00e9\n'.encode('latin-1'), 'not UTF-8: .* at byte 3;'),
    (b'ab\n\xe2\x82', 'not UTF-8: unexpected end of data at byte 3;'),
    ('text'.encode('utf-16'), 'UTF-16; convert it with iconv -f'),
  ],
)
def test_what_is_not_text_is_refused(write, data, says, separator, monkeypatch):
  root = write({'a.txt': data})
  for block in (1, 2, 3, 100):
    monkeypatch.setattr(inputs, 'BLOCK', block)
    with pytest.raises(ValueError, match=r'a\.txt') as error:
      list(documents(Input('a.txt', root / 'a.txt'), separator))
    assert error.match(says) and '\n' not in str(error.value)


@pytest.mark.parametrize('suffix', ['gz', 'xz'])
@pytest.mark.parametrize('damage', ['cut', 'flip', 'none'])
def test_damaged_archives(write, suffix, damage):
  pack = {'gz': gzip.compress, 'xz': lzma.compress}[suffix]
  good = pack(prose(500).encode())
  middle = len(good) // 2
  flipped = bytes([good[middle] ^ 0xFF])
  data = {
    'cut': good[:middle],
    'flip': good[:middle] + flipped + good[middle + 1 :],
    'none': good,
  }[damage]
  path = write({f'a.{suffix}': data}) / f'a.{suffix}'
  if damage == 'none':
    assert list(documents(Input(path.name, path), ''))
    return
  with pytest.raises(ValueError) as error:
    list(documents(Input(path.name, path), ''))
  says = str(error.value)
  assert says.startswith(str(path)) and '\n' not in says
  assert 'truncated or damaged' in says or 'not UTF-8' in says
