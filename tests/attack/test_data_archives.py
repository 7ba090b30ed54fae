"""Text that never ends, or that fills the disk, or takes for ever to list."""

import gzip
import io
import lzma
import os
import socket
import struct
import time
import zipfile

import pytest

from extrapolation import data
from extrapolation.data.sources import unpacking
from tests import pace

VARIABLE = 'EXTRAPOLATION_MAX_TEXT_BYTES'


def prepare(source, tmp_path, **kw):
  return data.prepare(source=source, cache=str(tmp_path / 'cache'), **kw)


def refused(source, tmp_path, *says, **kw):
  with pytest.raises((ValueError, OSError)) as error:
    prepare(source, tmp_path, **kw)
  message = str(error.value)
  assert '\n' not in message and all(s in message for s in says), message
  cache = tmp_path / 'cache'
  assert not [p for p in cache.rglob('*') if p.suffix != '.lock' and
              p.is_file()]  # fmt: skip


def zipped(path, files):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, text in files.items():
      archive.writestr(name, text)
  return path


def read(files, tmp_path):
  folder = tmp_path / str(files)
  folder.mkdir()
  path = zipped(
    folder / 'a.zip', {f'{i:05}.txt': f'{i} words\n' for i in range(files)}
  )
  prepare(f'files:{path}', folder)


def test_an_archive_of_many_files_takes_linear_time(tmp_path):
  """It was 24 s for 2,000 files: the list was read for every one of them."""
  read(10, tmp_path)  # imports
  pace.within(3, lambda: read(2000, tmp_path))


def bomb(path, size):
  """A file of about a thousandth of `size` bytes, or less."""
  block, blocks = b'a\n' * (1 << 19), size >> 20
  if path.suffix == '.parquet':
    import pyarrow
    from pyarrow import parquet

    text = pyarrow.array([block.decode()] * blocks)
    parquet.write_table(pyarrow.table({'text': text}), path)
    return path
  if path.suffix == '.zip':
    with (
      zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
      archive.open('a.txt', 'w') as file,
    ):
      for _ in range(blocks):
        file.write(block)
    return path
  unpacked = {'.gz': gzip.open, '.xz': lzma.open}[path.suffix]
  with unpacked(path, 'wb') as file:
    for _ in range(blocks):
      file.write(block)
  return path


@pytest.mark.parametrize('suffix', ['gz', 'xz', 'zip', 'parquet'])
@pytest.mark.parametrize('source', ['files', 'tfds'])
def test_bombs(tmp_path, monkeypatch, suffix, source):
  monkeypatch.setattr(unpacking, 'FREE', 1 << 20, raising=False)
  (tmp_path / 'text').mkdir()
  path = bomb(tmp_path / 'text' / f'a.{suffix}', 16 << 20)
  assert path.stat().st_size < 1 << 16
  source = dict(files=f'files:{path}', tfds='tfds:books')[source]
  refused(source, tmp_path, str(path), VARIABLE, manual_dir=str(path.parent))


def test_many_small_bombs_are_as_one(tmp_path, monkeypatch):
  monkeypatch.setattr(unpacking, 'FREE', 1 << 20)
  text = 'a\n' * (1 << 17)
  path = zipped(tmp_path / 'a.zip', {f'{i}.txt': text for i in range(99)})
  refused(f'files:{path}', tmp_path, VARIABLE)


def test_the_limit_can_be_raised_and_lowered(tmp_path, monkeypatch):
  monkeypatch.setattr(unpacking, 'FREE', 1 << 20)
  path = bomb(tmp_path / 'a.gz', 4 << 20)
  refused(f'files:{path}', tmp_path, f'set {VARIABLE}')
  monkeypatch.setenv(VARIABLE, str(4 << 20))
  assert prepare(f'files:{path}', tmp_path).bytes('train') > 3 << 20
  monkeypatch.setenv(VARIABLE, '1000')
  (tmp_path / 'plain.txt').write_text('a\n' * 999)
  other = tmp_path / 'other'
  refused(f'files:{tmp_path}/plain.txt', other, '1,000 bytes')
  for wrong in ('-1', '1e9', 'all'):
    monkeypatch.setenv(VARIABLE, wrong)
    refused(f'files:{tmp_path}/plain.txt', other, 'number of bytes')


def test_without_it_text_of_a_usual_density_is_read(tmp_path):
  path = tmp_path / 'a.gz'
  path.write_bytes(gzip.compress(b'the same line again\n' * 99_999))
  assert prepare(f'files:{path}', tmp_path).bytes('train') > 1e6


@pytest.fixture
def special(tmp_path):
  """A folder of one pipe, socket or device, or a link to one."""

  def make(what):
    folder = tmp_path / 'special'
    folder.mkdir()
    path = folder / 'train.txt'
    if what == 'pipe':
      os.mkfifo(path)
    elif what == 'link to a pipe':
      os.mkfifo(tmp_path / 'pipe')
      path.symlink_to(tmp_path / 'pipe')
    elif what == 'socket':
      here = os.getcwd()
      os.chdir(folder)  # a path of a socket is short
      server = socket.socket(socket.AF_UNIX)
      server.bind(path.name)
      server.close()
      os.chdir(here)
    else:
      path.symlink_to(what)
    return path

  return make


WHAT = [
  'pipe', 'link to a pipe', 'socket', '/dev/zero', '/dev/stdin',
  '/proc/self/environ', '/proc/self/mem', '/proc/kmsg', '/sys/power/state',
]  # fmt: skip


@pytest.mark.parametrize('what', WHAT)
@pytest.mark.parametrize('where', ['file', 'folder', 'glob', 'tfds'])
def test_what_never_ends_is_refused(special, tmp_path, what, where):
  path = special(what)
  if not path.exists() or (what == '/dev/stdin' and path.is_file()):
    pytest.skip(f'{what}: no such device here, or standard input is a file')
  source = dict(
    file=f'files:{path}',
    folder=f'files:{path.parent}',
    glob=f'files:{path.parent}/*.txt',
    tfds='tfds:books',
  )[where]
  refused(
    source, tmp_path, str(path), 'give a plain file',
    manual_dir=str(path.parent),
  )  # fmt: skip


@pytest.mark.parametrize('what', ['pipe', '/dev/zero', '/proc/self/environ'])
def test_nor_is_it_a_tokenizer(special, tmp_path, what):
  (tmp_path / 'a.txt').write_text('a\n' * 99)
  path = special(what).rename(tmp_path / 'a.json')
  refused(f'files:{tmp_path}/a.txt', tmp_path, str(path), tokenizer=str(path))


def directory(raw, change):
  """Changes the end of a zip's list of contents."""
  at = raw.rindex(b'PK\x05\x06')
  fields = list(struct.unpack('<4s4H2LH', raw[at : at + 22]))
  change(fields)
  return raw[:at] + struct.pack('<4s4H2LH', *fields)


@pytest.mark.parametrize('field, value', [
  (4, 65535), (4, 0), (5, 2**32 - 2), (5, 0), (6, 2**32 - 2), (6, 1), (7, 99),
])  # fmt: skip
def test_lists_of_contents_that_lie(tmp_path, field, value):
  path = zipped(tmp_path / 'a.zip', {f'{i}.txt': 'a b\n' * 99 for i in 'abc'})
  raw = path.read_bytes()
  path.write_bytes(directory(raw, lambda f: f.__setitem__(field, value)))
  try:
    made = prepare(f'files:{path}', tmp_path)
  except ValueError as error:
    assert '\n' not in str(error) and str(path) in str(error)
  else:
    total = sum(made.bytes(split) for split in data.SPLITS)
    assert total == 3 * 4 * 99


def test_two_files_of_one_name(tmp_path):
  buffer = io.BytesIO()
  with (
    zipfile.ZipFile(buffer, 'w') as archive,
    pytest.warns(UserWarning, match='Duplicate'),
  ):
    archive.writestr('a.txt', 'one')
    archive.writestr('a.txt', 'two')
  (tmp_path / 'a.zip').write_bytes(buffer.getvalue())
  refused(f'files:{tmp_path}/a.zip', tmp_path, 'two files of one name')


@pytest.mark.parametrize('vocab', [10**9, 2**31, 10**30, 1e9, '9', None])
def test_absurd_vocabularies(tmp_path, vocab):
  """A thousand million took 15 s, and memory for as many tokens."""
  (tmp_path / 'a.txt').write_text('a few words\n' * 99)
  start = time.monotonic()
  refused(
    f'files:{tmp_path}/a.txt', tmp_path, 'vocab = ', 'at most',
    tokenizer='bpe', vocab=vocab,
  )  # fmt: skip
  assert time.monotonic() - start < 1
