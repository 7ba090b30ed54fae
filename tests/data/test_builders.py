import itertools
import json
import subprocess
import sys
import types

import pytest
import tensorflow_datasets as tfds

from extrapolation import data
from extrapolation.data.sources import SPLITS, tfds_builders
from extrapolation.data.sources.tfds_builders import (
  _text,
  wikitext2,
  wikitext103,
)

from .conftest import prose
from .test_reading import article, table, zipped

MANUAL = 'data.manual_dir'


def published(monkeypatch, of, texts):
  """Makes these texts the published ones of a size of WikiText."""
  lines = {s: t.count('\n') for s, t in texts.items()}
  words = {s: len(t.split()) + lines[s] for s, t in texts.items()}
  monkeypatch.setattr(of, 'LINES', types.MappingProxyType(lines))
  monkeypatch.setattr(of, 'WORDS', types.MappingProxyType(words))


@pytest.fixture
def wikitext(monkeypatch):
  """{split: text} of articles, the published text of both sizes."""
  texts = {
    s: ''.join(article(f'{s} {i} <unk>') for i in range(n))
    for s, n in dict(train=5, valid=2, test=3).items()
  }
  for of in (wikitext2.Builder, wikitext103.Builder):
    published(monkeypatch, of, texts)
  return texts


def prepare(name, manual, tmp_path, **kw):
  return data.prepare(
    source=f'tfds:{name}', manual_dir=str(manual),
    cache=str(tmp_path / 'cache'), **kw,
  )  # fmt: skip


def documents(made, split):
  offsets = made.offsets(split).tolist()
  tokens = made.tokens(split)
  return [
    made.tokenizer.decode(tokens[a : b - 1])
    for a, b in itertools.pairwise(offsets)
  ]


def test_every_file_is_a_builder_with_its_name():
  assert tfds_builders.names() == [
    'books', 'github_code', 'wikibook', 'wikitext103', 'wikitext2',
  ]  # fmt: skip
  for name in tfds_builders.names():
    builder = tfds_builders.get(name)
    assert builder.name == name and tfds.builder_cls(name) is builder
    assert 'Hugging Face Hub' in builder.FROM and '\n' not in builder.FROM


@pytest.mark.parametrize('name', ['wikitext2', 'wikitext103'])
@pytest.mark.parametrize('form', ['plain', 'zip', 'parquet', 'named'])
def test_wikitext_by_articles(wikitext, write, tmp_path, name, form):
  if form == 'zip':
    files = {f'w/wiki.{s}.tokens': t for s, t in wikitext.items()}
    files = {f'{name}-v1.zip': zipped(files), 'readme': 'r'}
  elif form == 'parquet':
    files = {}
    for s, text in wikitext.items():
      rows = [r if r.strip() else '' for r in text.splitlines(keepends=True)]
      s = 'validation' if s == 'valid' else s
      files[f'{s}-00000-of-00001.parquet'] = table(text=rows)
  else:
    folder = f'{name}/' if form == 'named' else ''
    files = {f'{folder}{s}.txt': t for s, t in wikitext.items()}
  made = prepare(name, write(files), tmp_path)
  for split, text in wikitext.items():
    found = documents(made, split)
    assert ''.join(found) == text
    assert len(found) == text.count('<unk>')
    assert all(d.startswith(f' \n = {split} ') for d in found)
  names = {i['name'] for i in made.manifest['inputs']}
  assert len(names) == 3  # the user's own files, not what was built of them


def test_the_same_files_read_as_files_are_another_dataset(
  wikitext, write, tmp_path
):
  root = write({f'{s}.txt': t for s, t in wikitext.items()})
  made = prepare('wikitext2', root, tmp_path)
  plain = data.prepare(source=f'files:{root}', cache=str(tmp_path / 'cache'))
  assert len(documents(plain, 'train')) == 1
  assert len(documents(made, 'train')) == 5


def test_wikitext_without_train_is_read_too(wikitext, write, tmp_path):
  files = {f'{s}.txt': wikitext[s] for s in ('valid', 'test')}
  made = prepare('wikitext103', write(files), tmp_path)
  assert [*made.manifest['splits']] == ['valid', 'test']


@pytest.mark.parametrize(
  'change, says',
  [
    (lambda t: t[: len(t) // 2], 'lines, but valid of wikitext2 has'),
    (
      lambda t: t.replace('One', 'One more'),
      'words with <eos>, but valid of wikitext2 has',
    ),
    (lambda t: t.replace('<unk>', 'raw').replace('One', 'One more'), ''),
    (lambda t: t.replace('One', 'Won'), ''),
  ],
)
def test_text_that_is_not_the_published_one(
  wikitext, write, tmp_path, change, says
):
  texts = wikitext | {'valid': change(wikitext['valid'])}
  root = write({f'{s}.txt': t for s, t in texts.items()})
  if not says:
    prepare('wikitext2', root, tmp_path)
    return
  with pytest.raises(ValueError, match='it is cut short, or not') as error:
    prepare('wikitext2', root, tmp_path)
  assert 'valid of wikitext2 has' in str(error.value)
  assert '\n' not in str(error.value)
  left = [p for p in (tmp_path / 'cache').rglob('*') if p.suffix != '.lock']
  assert left in ([], [tmp_path / 'cache' / 'tfds'])


def test_other_text_of_the_same_counts_is_told(
  wikitext, write, tmp_path, monkeypatch, caplog
):
  sha256 = types.MappingProxyType({'valid': 'abc'})
  monkeypatch.setattr(wikitext2.Builder, 'SHA256', sha256)
  prepare('wikitext2', write({f'{s}.txt': t for s, t in wikitext.items()}),
          tmp_path)  # fmt: skip
  (record,) = [r for r in caplog.records if r.levelname == 'WARNING']
  assert 'another sha256' in record.getMessage()


@pytest.mark.parametrize('name', ['books', 'github_code'])
def test_files_or_parted_files_are_documents(write, tmp_path, name):
  texts = [prose(9, i) for i in range(3)]
  parted = '<|endoftext|>\n'.join(texts)
  root = write({f'{s}.txt': parted for s in SPLITS})
  assert documents(prepare(name, root, tmp_path), 'test') == texts
  root = write({f'two/{i}.py': prose(3, i) for i in range(40)}) / 'two'
  made = prepare(name, root, tmp_path)
  found = [d for s in SPLITS for d in documents(made, s)]
  assert sorted(found) == sorted(prose(3, i) for i in range(40))
  assert all(documents(made, s) for s in SPLITS)


def test_the_folder_of_code_may_be_called_so(write, tmp_path):
  root = write({f'{n}/{s}.txt': f'{n}\n' for n in ('code', 'books')
                for s in SPLITS})  # fmt: skip
  for name, text in (('github_code', 'code\n'), ('books', 'books\n')):
    assert documents(prepare(name, root, tmp_path), 'test') == [text]


class Pg19(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """As TFDS's own, without its download."""

  name = 'pg19'
  VERSION = tfds.core.Version('0.1.1')

  def _info(self):
    text = tfds.features.Text()
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict({'book_text': text, 'link': text}),
    )

  def _split_generators(self, dl_manager):
    return {s: self._generate_examples(s) for s in (
      'train', 'validation', 'test')}  # fmt: skip

  def _generate_examples(self, split):
    for i in range(4):
      yield i, {'book_text': f'{split} {i}\n', 'link': 'x'}


@pytest.fixture
def pg19(tmp_path, monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  Pg19(
    data_dir=str(tmp_path / 'tfds'), file_format='array_record'
  ).download_and_prepare()


def test_what_tfds_has_prepared_is_read(pg19, tmp_path):
  cache = str(tmp_path / 'cache')
  made = data.prepare(source='tfds:pg19', cache=cache)
  names = dict(train='train', valid='validation', test='test')
  for split, name in names.items():
    found = sorted(documents(made, split))
    assert found == [f'{name} {i}\n' for i in range(4)]
  books = data.prepare(source='tfds:books', cache=cache)
  assert documents(books, 'valid') == documents(made, 'valid')


def test_prepared_for_tensorflow_only(tmp_path, monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
  folder = tmp_path / 'pg19' / '0.1.1'
  folder.mkdir(parents=True)
  (folder / 'dataset_info.json').write_text(
    json.dumps({'fileFormat': 'tfrecord', 'splits': []})
  )
  with pytest.raises(ValueError, match='stored as tfrecord, which only Tensor'):
    data.prepare(source='tfds:pg19', cache=str(tmp_path / 'c'))
  (tmp_path / 'pg19' / 'b' / '1.0.0').mkdir(parents=True)
  (tmp_path / 'pg19' / 'b' / '1.0.0' / 'dataset_info.json').write_text('{}')
  with pytest.raises(ValueError, match='several configurations; name one of'):
    data.prepare(source='tfds:pg19', cache=str(tmp_path / 'c'))


def corpora_of_wikibook(wikitext, splits=SPLITS):
  files = {f'wikitext2/{s}.txt': wikitext[s] for s in splits}
  book = [f'book {i}\n' * 40 for i in range(3)]
  parted = '<|endoftext|>\n'.join(book)
  return files | {f'books/{s}.txt': parted for s in splits}


def test_wikibook_is_wikipedia_and_books_mixed(wikitext, write, tmp_path):
  root = write(
    corpora_of_wikibook(wikitext)
    | {f'wikitext103/{s}.txt': wikitext[s] for s in ('valid', 'test')}
  )  # wikitext103 has no train: not the one
  made = prepare('wikibook', root, tmp_path)
  found = documents(made, 'train')
  kinds = ['book' if d.startswith('book') else 'article' for d in found]
  assert sorted(kinds) == ['article'] * 5 + ['book'] * 3
  assert 'book' in kinds[:3] and 'article' in kinds[:3]
  articles = [d for d in found if not d.startswith('book')]
  assert ''.join(articles) == wikitext['train']
  named = data.prepare(
    source='wikibook', manual_dir=str(root), cache=str(tmp_path / 'cache')
  )
  assert named.folder == made.folder


@pytest.mark.parametrize(
  'drop, says',
  [
    ('books/', 'no folder books in'),
    ('wikitext2/', 'no Wikipedia to train on in'),
    ('books/valid.txt', 'books has no split valid, but the other'),
  ],
)
def test_half_a_wikibook(wikitext, write, tmp_path, drop, says):
  files = corpora_of_wikibook(wikitext)
  root = write({n: t for n, t in files.items() if not n.startswith(drop)})
  with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
    prepare('wikibook', root, tmp_path)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', tfds_builders.names())
@pytest.mark.parametrize('manual', ['', 'none', 'empty'])
def test_errors_say_where_the_text_comes_from(
  tmp_path, monkeypatch, name, manual
):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  (tmp_path / 'empty').mkdir()
  with pytest.raises(FileNotFoundError, match='Hugging Face Hub') as error:
    prepare(name, tmp_path / manual if manual else '', tmp_path)
  message = str(error.value)
  assert message.startswith(f'tfds:{name}: ') and '\n' not in message
  assert manual == 'empty' or MANUAL in message


def test_other_files_make_another_dataset(write, tmp_path):
  root = write({f'{s}.txt': 'a\n' for s in SPLITS})
  first = prepare('books', root, tmp_path)
  (root / 'train.txt').write_text('b\n')
  second = prepare('books', root, tmp_path)
  assert documents(first, 'train') == ['a\n']
  assert documents(second, 'train') == ['b\n']


def test_shards_hold_everything_in_order(write, tmp_path, monkeypatch):
  monkeypatch.setattr(_text, 'SHARD_BYTES', 200)
  texts = [f'{i}\n' * 20 for i in range(30)]
  root = write(
    {
      'train.txt': '<|endoftext|>\n'.join(texts),
      'valid.txt': 'v',
      'test.txt': 't',
    }
  )
  made = prepare('books', root, tmp_path)
  assert documents(made, 'train') == texts
  shards = [*(tmp_path / 'cache').rglob('books-train.array_record-*')]
  assert 5 < len(shards) < 20


def test_a_document_too_long_for_a_record(write, tmp_path, monkeypatch):
  monkeypatch.setattr(_text, 'MAX_RECORD_BYTES', 100)
  with pytest.raises(ValueError, match='a document of more than 100 bytes'):
    prepare('books', write({'a.txt': 'x' * 101}), tmp_path)


CODE = """
import sys
import tensorflow_datasets as tfds
from extrapolation.data.sources import tfds_builders

builder = tfds_builders.get('books')(
  data_dir=sys.argv[2], file_format='array_record'
)
config = tfds.download.DownloadConfig(manual_dir=sys.argv[1])
builder.download_and_prepare(download_config=config)
source = builder.as_data_source('train')
assert len(source) == 2 and source[1]['text'] == b'two', source[1]
assert 'tensorflow' not in sys.modules
assert builder.as_data_source('train[:50%]')[0]['text'] == b'one'
"""


def test_by_tfds_itself_and_without_tensorflow(write, tmp_path):
  root = write({'a.txt': 'one', 'b.txt': 'two'})
  subprocess.run(
    [sys.executable, '-c', CODE, str(root), str(tmp_path / 'd')],
    check=True, capture_output=True, timeout=60,
  )  # fmt: skip


@pytest.mark.parametrize('damage', ['cut', 'flip'])
def test_damaged_records(pg19, tmp_path, damage):
  (path,) = (tmp_path / 'tfds').rglob('pg19-train.array_record-*')
  raw = path.read_bytes()
  middle = len(raw) // 2
  flipped = raw[:middle] + bytes([raw[middle] ^ 255]) + raw[middle + 1 :]
  path.write_bytes(raw[:middle] if damage == 'cut' else flipped)
  with pytest.raises(ValueError, match='damaged') as error:
    data.prepare(source='tfds:pg19', cache=str(tmp_path / 'c'))
  assert '\n' not in str(error.value)
