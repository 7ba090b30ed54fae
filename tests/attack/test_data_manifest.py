"""A prepared folder whose files state what is not so, or are malformed."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from extrapolation import data
from extrapolation.output import signed

from ..data.conftest import prose

HEX = 'f' * 64
ARGUMENTS = dict(tokenizer='bpe', vocab=330)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A sound prepared folder, not to be changed."""
  root = tmp_path_factory.mktemp('text')
  for i in range(9):
    (root / f'{i}.txt').write_text(prose(20, i))
  out = tmp_path_factory.mktemp('prepared') / 'out'
  data.prepare(source=f'files:{root}', out=str(out), **ARGUMENTS)
  return out


@pytest.fixture
def folder(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / 'folder')


def refused(folder, *says):
  """Reading it is one line that names the folder, and what to do."""
  with pytest.raises(ValueError) as error:
    made = data.prepare(source=f'prepared:{folder}', **ARGUMENTS)
    made.summary(T=8)
    [made.tokens(s).sum() for s in data.SPLITS]
  message = str(error.value)
  assert '\n' not in message and len(message) < 1000, message
  assert all(s in message for s in (str(folder), 'delete', *says)), message


def restate(folder, change):
  """Changes a manifest as one would who knows how it vouches for itself."""
  path = folder / 'manifest.json'
  about = json.loads(path.read_text())
  change(about)
  path.write_text(json.dumps(signed.sign(about)))


def train(**changed):
  return lambda about: about['splits']['train'].update(changed)


def part(**changed):
  return lambda about: about['parts'][0].update(changed)


def named(**changed):
  return lambda about: about['tokenizer'].update(changed)


STATED = {
  f'{name}={str(value)[:20]}': train(**{name: value})
  for name in ('bytes', 'documents', 'tokens')
  for value in (-1, 0, 1, 2.0, True, None, '7', [], 10**30, float('inf'))
} | {
  f'{name}={str(value)[:20]}': train(**{name: value})
  for name in ('sha256', 'tokens_sha256', 'offsets_sha256')
  for value in ('', None, 7, [[]], HEX[:-1])
} | {
  f'dtype={value}': train(dtype=value)
  for value in (
    'O', 'object', 'uint8', 'int64', 'uint32', '<u2', 'V1000', '../train', 7,
    None, ['uint16'],
  )
} | {
  f'part {name}={value}': part(**{name: value})
  for name in ('documents', 'tokens', 'weight')
  for value in (-1, 3, '1', None, float('nan'))
} | {
  f'tokenizer {name}={value}': named(**{name: value})
  for name in ('V', 'eos', 'name', 'sha256')
  for value in (-1, 0, 2**40, None, 'bytes')
} | {
  'no train': lambda about: about['splits'].pop('train'),
  'other split': lambda about: about['splits'].update(
    {'../x': about['splits']['train']}
  ),
  'no parts': lambda about: about.update(parts=[]),
  'two parts': lambda about: about.update(parts=about['parts'] * 2),
  'parts=7': lambda about: about.update(parts=7),
  'splits=[]': lambda about: about.update(splits=[]),
  'splits=null': lambda about: about.update(splits=None),
  'tokenizer=null': lambda about: about.update(tokenizer=None),
  'tokenizer_key=[]': lambda about: about.update(tokenizer_key=[]),
  'tokenizer_key={}': lambda about: about.update(tokenizer_key={}),
  'format=3': lambda about: about.update(format=3),
  'inputs=[]': lambda about: about.update(inputs=[]),
  'python=[]': lambda about: about.update(python=[]),
  'more': lambda about: about.update(more=1),
}  # fmt: skip


@pytest.mark.parametrize('what', STATED)
def test_each_number_is_compared_with_the_file(folder, what):
  restate(folder, STATED[what])
  refused(folder)


READ = """
import sys
from extrapolation import data

made = data.prepare(source=sys.argv[1], tokenizer='bpe', vocab=330)
print(made.tokens('train').sum())
"""


def test_bytes_of_a_file_are_no_pointers(folder):
  """With a type of objects, a mapped file is followed into memory."""
  raw = (folder / 'train.uint16').read_bytes()
  raw = raw[: len(raw) // 8 * 8]
  (folder / 'train.O').write_bytes(raw)
  digest = hashlib.sha256(raw).hexdigest()
  restate(folder, train(dtype='O', tokens=len(raw) // 8, tokens_sha256=digest))
  done = subprocess.run(
    [sys.executable, '-c', READ, f'prepared:{folder}'],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 1, f'killed by signal {-done.returncode}'
  assert "train has dtype = 'O', not one of uint16, uint32" in done.stderr


@pytest.mark.parametrize('key', [
  'format', 'inputs', 'builders', 'weights', 'python', 'separator',
  'tokenizer_key', 'key', 'tokenizer', 'parts', 'splits',
])  # fmt: skip
def test_each_key_is_needed(folder, key):
  restate(folder, lambda about: about.pop(key))
  refused(folder, 'manifest.json: ')


def test_a_digit_that_no_file_can_contradict(folder):
  """The digest of the text: no reader of tokens computes it."""
  path = folder / 'manifest.json'
  about = json.loads(path.read_text())
  about['splits']['train']['sha256'] = HEX
  path.write_text(json.dumps(about))
  refused(folder, 'manifest.json: it has changed')


def test_a_folder_of_before_manifests_vouched_for_themselves(folder):
  path = folder / 'manifest.json'
  about = json.loads(path.read_text())
  about.pop('digest', None)
  path.write_text(json.dumps(about))
  made = data.prepare(source=f'prepared:{folder}', **ARGUMENTS)
  assert len(made.tokens('train')) == about['splits']['train']['tokens']


@pytest.mark.parametrize('number', [errno.EIO, errno.ESTALE, errno.EACCES])
def test_what_cannot_be_read_now_is_not_called_damaged(
  folder, monkeypatch, number
):
  """Nobody should delete a folder for a disk, or a server, that is busy."""
  real = open

  def busy(path, *args, **kw):
    if str(path).endswith('valid.uint16'):
      raise OSError(number, os.strerror(number), str(path))
    return real(path, *args, **kw)

  monkeypatch.setattr('builtins.open', busy)
  with pytest.raises(OSError, match=os.strerror(number)) as error:
    data.prepare(source=f'prepared:{folder}', **ARGUMENTS)
  assert 'valid.uint16' in str(error.value) and 'delete' not in str(error.value)


def test_no_token_lies_beyond_the_vocabulary(folder):
  """All digests are right, and one id would read past a table of V rows."""
  path = folder / 'train.uint16'
  ids = np.fromfile(path, np.uint16)
  ids[5] = 330
  ids.tofile(path)
  digest = hashlib.sha256(ids).hexdigest()
  restate(folder, train(tokens_sha256=digest))
  refused(folder, 'train.uint16', '330')


@pytest.mark.parametrize('change', ['eos', 'order', 'beyond', 'negative'])
def test_offsets_end_documents(folder, change):
  path = folder / 'train.offsets.npy'
  ends = np.load(path)
  ends[2] = dict(
    eos=ends[2] + 1, order=ends[1], beyond=ends[-1] + 1, negative=-1
  )[change]
  np.save(path, ends)
  restate(folder, train(offsets_sha256=hashlib.sha256(ends).hexdigest()))
  refused(folder, 'offsets.npy')


def header(text, magic=b'\x93NUMPY\x01\x00', length=None):
  raw = text.encode() + b'\n'
  n = len(raw) if length is None else length
  return magic + n.to_bytes(2, 'little') + raw


GOOD = "{'descr': '<i8', 'fortran_order': False, 'shape': (8,), }"
HEADERS = {
  'empty': b'',
  'binary': bytes(range(256)),
  'pickle': b'\x80\x04cos\nsystem\n(S"true"\ntR.',
  'zip': b'PK\x03\x04' + bytes(99),
  'objects': header(GOOD.replace('<i8', '|O')),
  'nested': header(GOOD.replace('(8,)', '(' * 5000 + ')' * 5000)),
  'code': header(GOOD.replace('8', '__import__("os").system("true")')),
  'huge': header(GOOD.replace('(8,)', f'({10**18},)')),
  'negative': header(GOOD.replace('(8,)', '(-8,)')),
  'digits': header(GOOD.replace('(8,)', f'({"9" * 5000},)')),
  'dtype': header(GOOD.replace("'<i8'", "[('a', [('b', 'O')])]")),
  'no keys': header('{}'),
  'no dictionary': header('[1]'),
  'unclosed': header("{'descr': '<i8"),
  'token': header("{'descr': '''"),
  'version': header(GOOD, b'\x93NUMPY\x09\x09'),
  'length': header(GOOD, length=65535),
  'surrogates': header('x', b'\x93NUMPY\x03\x00') + b'\xff\xfe' * 40,
}


@pytest.mark.parametrize('what', HEADERS)
def test_headers_of_arrays(folder, what):
  (folder / 'valid.offsets.npy').write_bytes(HEADERS[what])
  refused(folder)


TEXTS = {
  'empty': b'',
  'cut': b'{"name": "bytes"',
  'nested': b'[' * 100_000,
  'nested objects': b'{"a":' * 100_000,
  'list': b'[]',
  'null': b'null',
  'NaN': b'{"name": NaN}',
  'digits': b'{"name": ' + b'9' * 10_000 + b'}',
  'binary': bytes(range(256)),
  'utf-16': '{}'.encode('utf-16'),
  'no keys': b'{}',
  'numbers': b'{"name": 1, "model": 2}',
  'no base64': b'{"name": "bytes", "model": "!"}',
}


@pytest.mark.parametrize('what', TEXTS)
@pytest.mark.parametrize('name', ['manifest.json', 'tokenizer.json'])
def test_malformed_json(folder, name, what):
  (folder / name).write_bytes(TEXTS[what])
  refused(folder, name)


@pytest.mark.parametrize('name', [
  'manifest.json', 'tokenizer.json', 'valid.uint16', 'valid.offsets.npy'
])  # fmt: skip
@pytest.mark.parametrize('to', ['/dev/zero', '/proc/self/environ', 'folder'])
def test_links_to_what_never_ends(folder, name, to):
  (folder / name).unlink()
  (folder / name).symlink_to(folder if to == 'folder' else to)
  try:
    refused(folder)
  except FileNotFoundError as error:  # no manifest is no prepared folder
    assert name == 'manifest.json' and '\n' not in str(error)
