"""Records as documents: JSON, CSV, Arrow, in any packing, whatever the name."""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma

import pyarrow
import pytest
from pyarrow import ipc, parquet

from extrapolation import data

TEXTS = [f'Document {i}, über "quotes",\nand a line.\n' for i in range(40)]


def jsonl(texts=TEXTS, field='text') -> bytes:
  lines = [json.dumps({'id': i, field: t}) for i, t in enumerate(texts)]
  return '\n'.join(lines).encode()


def table(delimiter=',', field='text') -> bytes:
  out = io.StringIO()
  writer = csv.writer(out, delimiter=delimiter)
  writer.writerows([['id', field], *enumerate(TEXTS)])
  return out.getvalue().encode()


def arrow(stream: bool) -> bytes:
  rows = pyarrow.table({'id': range(len(TEXTS)), 'text': TEXTS})
  sink = pyarrow.BufferOutputStream()
  make = ipc.new_stream if stream else ipc.new_file
  with make(sink, rows.schema) as writer:
    writer.write_table(rows, max_chunksize=7)
  return sink.getvalue().to_pybytes()


def zstd(content: bytes) -> bytes:
  sink = pyarrow.BufferOutputStream()
  with pyarrow.CompressedOutputStream(sink, 'zstd') as out:
    out.write(content)
  return sink.getvalue().to_pybytes()


ARRAY = json.dumps([{'text': t} for t in TEXTS]).encode()
FILES = {
  'a.jsonl': jsonl(),
  'a.ndjson': jsonl(),
  'A.JSONL': jsonl(),
  'lines.json': jsonl(),
  'array.json': ARRAY,
  'marked.json': b'\xef\xbb\xbf' + ARRAY,
  'marked.jsonl': b'\xef\xbb\xbf' + jsonl(),
  'crlf.jsonl': jsonl().replace(b'\n', b'\r\n') + b'\r\n\r\n',
  'a.csv': table(),
  'marked.csv': b'\xef\xbb\xbf' + table(),
  'a.tsv': table('\t'),
  'stream.arrow': arrow(True),
  'file.arrow': arrow(False),
  'a.jsonl.gz': gzip.compress(jsonl()),
  'a.jsonl.GZ': gzip.compress(jsonl()),
  'a.jsonl.xz': lzma.compress(jsonl()),
  'a.json.bz2': bz2.compress(ARRAY),
  'a.jsonl.zst': zstd(jsonl()),
  'two-frames.jsonl.zst': zstd(jsonl(TEXTS[:9]) + b'\n')
  + zstd(jsonl(TEXTS[9:])),
  'unpacked.jsonl.gz': jsonl(),  # as some browsers leave it
  'a.csv.zst': zstd(table()),
}


def prepared(source, tmp_path, **more):
  return data.prepare(source=source, cache=str(tmp_path / 'cache'), **more)


def documents(made) -> list[str]:
  out = []
  for split in data.SPLITS:
    tokens, ends = made.tokens(split), made.offsets(split)
    out += [
      made.tokenizer.decode(tokens[a : b - 1])
      for a, b in itertools.pairwise(ends)
    ]
  return sorted(out)


@pytest.mark.parametrize('name', FILES)
def test_a_record_is_a_document(write, tmp_path, name):
  root = write({name: FILES[name]})
  for where in (root / name, root):
    assert documents(prepared(f'files:{where}', tmp_path)) == sorted(TEXTS)


def test_what_save_to_disk_writes(write, tmp_path):
  root = write(
    {
      'dataset_dict.json': '{"splits": ["train", "test"]}',
      'train/data-00000-of-00001.arrow': arrow(True),
      'train/state.json': '{}',
      'train/dataset_info.json': '{}',
      'test/data-00000-of-00001.arrow': arrow(True),
      'test/state.json': '{}',
      'test/dataset_info.json': '{}',
    }
  )
  made = prepared(f'files:{root}', tmp_path)
  about = made.manifest['splits']
  assert about['test']['documents'] == len(TEXTS)
  assert about['train']['documents'] + about['valid']['documents'] == len(TEXTS)


def test_a_downloaded_dataset(write, tmp_path, capsys):
  """Its README and its test rows are in no training."""
  rows = {}
  for split, word in (
    ('train', 'cat '),
    ('test', 'dog '),
    ('validation', 'owl '),
  ):
    sink = pyarrow.BufferOutputStream()
    texts = [f'{word * 9}{i}' for i in range(30)]
    parquet.write_table(pyarrow.table({'text': texts}), sink)
    rows[f'data/{split}-00000-of-00001.parquet'] = sink.getvalue().to_pybytes()
  root = write(
    {'README.md': 'readme', '.gitattributes': 'x', 'LICENSE': 'y'} | rows
  )
  made = prepared(f'files:{root}', tmp_path)
  for split, word in (('train', 'cat'), ('test', 'dog'), ('valid', 'owl')):
    text = made.tokenizer.decode(made.tokens(split))
    assert text.count(word) == 270 and 'readme' not in text
    assert sum(text.count(w) for w in ('cat', 'dog', 'owl')) == 270
  said = capsys.readouterr().out
  assert 'train <- 1 file of files:' in said and 'the names say so' in said
  assert (
    'left out: .gitattributes (hidden), LICENSE (about the data), RE' in said
  )


def test_a_field_of_another_name(write, tmp_path):
  nested = [json.dumps({'a': {'body': t}, 'url': 'u'}) for t in TEXTS]
  root = write({'n/a.jsonl': '\n'.join(nested), 'b/a.csv': table(field='body')})
  made = prepared(f'files:{root}/n', tmp_path, field='a.body')
  assert documents(made) == sorted(TEXTS)
  made = prepared(f'files:{root}/b', tmp_path, field='body')
  assert documents(made) == sorted(TEXTS)


def test_records_without_text_are_counted_and_said(write, tmp_path):
  lines = [*map(json.dumps, ({'text': t} for t in TEXTS))]
  lines += ['{"text": ""}', '{"text": null}', '{"other": "x"}', '{"text": 3}']
  lines += [json.dumps({'text': 'a\0b'}), r'{"text": "\ud800"}', '', '  ']
  root = write({'a.jsonl': '\n'.join(lines)})
  made = prepared(f'files:{root}', tmp_path)
  assert documents(made) == sorted(TEXTS)
  assert made.manifest['skipped'] == {
    'empty': 1, "without a text in 'text'": 3, 'with a NUL character': 1,
    'with a lone surrogate': 1,
  }  # fmt: skip
  assert "not read: 1 empty, 3 without a text in 'text'" in made.summary()


@pytest.mark.parametrize(
  'name, content, says',
  [
    ('a.jsonl', b'{"content": "x", "code": "y"}', 'in content, code; it has'),
    ('a.jsonl', b'{"x": "a", "y": "b"}', 'could be in x, y; .*data.field=NAME'),
    ('a.jsonl', b'{"x": 1}', "no field 'text'; it has: x"),
    ('a.jsonl', b'{"text": "a"}\n{"text": "b', 'line 2 is not JSON'),
    ('a.jsonl', b'{"text": "a"}\n[1]', 'line 2 is list, not an object'),
    ('a.json', b'{"text": "a",\n "b": 1}', 'line 1 is not JSON'),
    ('a.json', b'[{"text": "a"}', 'is not JSON'),
    ('a.json', b'["a"]', 'record 0, is str'),
    ('a.csv', b'1,some words\n2,more words\n', 'could be in 1, some words; it'),
    ('a.csv', b'text\n"unfinished', 'no table of rows'),
    ('a.csv', 'text\ncaf\u00e9'.encode('latin-1'), 'not UTF-8'),
    ('a.arrow', b'nothing of the kind', 'truncated or damaged'),
    ('a.jsonl', b'{"text": ""}\n{"text": ""}', 'is empty.*2 records empty'),
    ('a.jsonl', b'{"text": "a"}', 'test.*is empty'),
  ],
)  # fmt: skip
def test_what_cannot_be_read_says_so_in_a_line(
  write, tmp_path, name, content, says
):
  root = write({name: content})
  with pytest.raises(ValueError, match=says) as error:
    prepared(f'files:{root}', tmp_path)
  assert '\n' not in str(error.value)


TAR = b'name'.ljust(257, b'\0') + b'ustar\x0000'.ljust(255, b'\0')


@pytest.mark.parametrize(
  'content, says',
  [
    (b'7z\xbc\xaf\x27\x1c' + b'x' * 99, '7-Zip'),
    (b'Rar!\x1a\x07\x00' + b'x' * 99, 'RAR'),
    (b'\x04\x22\x4d\x18' + b'x' * 99, 'LZ4'),
    (b'%PDF-1.7' + b'x' * 99, 'PDF'),
    (TAR, 'is tar'),
    (gzip.compress(TAR, mtime=0), 'is tar'),
    (
      gzip.compress(gzip.compress(b'text', mtime=0), mtime=0),
      'packed twice, gzip inside gzip',
    ),
    (bz2.compress(lzma.compress(b'text')), 'packed twice, xz inside bzip2'),
    ('text'.encode('utf-16'), 'UTF-16; convert it with iconv -f UTF-16'),
  ],
  ids=lambda x: x if isinstance(x, str) else '',  # workers must agree on them
)
def test_a_packing_that_is_not_known_is_refused_by_name(
  write, tmp_path, content, says
):
  root = write({'a.txt': content})
  with pytest.raises(ValueError, match=says) as error:
    prepared(f'files:{root}', tmp_path)
  assert '\n' not in str(error.value) and str(root) in str(error.value)


def test_packings_are_told_by_content(write, tmp_path):
  """Of any name, one and the same text."""
  text = 'some words\n' * 900
  packed = {
    'a.txt': text.encode(),
    'b.txt': gzip.compress(text.encode()),
    'c': lzma.compress(text.encode()),
    'd.GZ': bz2.compress(text.encode()),
    'e.dat': zstd(text.encode()),
  }
  root = write(packed)
  made = {n: prepared(f'files:{root}/{n}', tmp_path) for n in packed}
  assert len({m.tokens('train').tobytes() for m in made.values()}) == 1


def test_an_office_document_is_no_archive_of_text(write, tmp_path):
  import zipfile

  sink = io.BytesIO()
  with zipfile.ZipFile(sink, 'w') as archive:
    archive.writestr('[Content_Types].xml', '<xml/>')
    archive.writestr('word/document.xml', '<xml>words</xml>')
  root = write({'a.docx': sink.getvalue()})
  with pytest.raises(ValueError, match='is an Office document'):
    prepared(f'files:{root}', tmp_path)
