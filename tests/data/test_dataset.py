import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from extrapolation import data
from extrapolation.data import SPLITS, writing

from .conftest import prose

KINDS = [('bytes', 0), ('bpe', 330), ('unigram', 330)]


def corpus(count=60):
  """Documents of many lengths, with characters of one to four bytes."""
  return {
    f'{i % 7}/{i}.txt': f'{i} \u20ac\U0001f600\u2581\r\n' + prose(i + 1, seed=i)
    for i in range(count)
  }


def contents(folder):
  """{path: bytes} of a folder, without lock files."""
  return {
    p.relative_to(folder).as_posix(): p.read_bytes()
    for p in folder.rglob('*')
    if p.is_file() and p.suffix != '.lock'
  }


@pytest.mark.parametrize('kind, vocab', KINDS)
def test_tokens_are_the_documents_and_bytes_add_up(
  write, tmp_path, kind, vocab
):
  files = corpus()
  root = write(files)
  made = data.prepare(
    source=f'files:{root}',
    tokenizer=kind,
    vocab=vocab,
    cache=str(tmp_path / 'c'),
  )
  left = {text.encode() for text in files.values()}
  for split in SPLITS:
    tokens, offsets = made.tokens(split), made.offsets(split)
    about = made.manifest['splits'][split]
    assert tokens.dtype == np.uint16 and len(tokens) == about['tokens']
    assert len(offsets) == about['documents'] + 1
    assert offsets[0] == 0 and offsets[-1] == len(tokens)
    read = []
    for start, end in itertools.pairwise(offsets.tolist()):
      assert tokens[end - 1] == made.tokenizer.eos
      text = made.tokenizer.decode(tokens[start : end - 1])
      read.append(text.encode())
      np.testing.assert_array_equal(
        tokens[start : end - 1], made.tokenizer.encode(text)
      )
    assert set(read) <= left
    left -= set(read)
    assert made.tokenizer.byte_lengths[tokens].sum() == made.bytes(split)
    assert made.bytes(split) == sum(map(len, read))
    assert about['sha256'] == hashlib.sha256(b''.join(read)).hexdigest()
  assert not left


def test_standard_library_and_fast_again(tmp_path):
  first = data.prepare(source='stdlib', cache=str(tmp_path))
  assert first.tokenizer.name == 'bytes' and first.bytes('train') > 4e6
  assert first.bytes('valid') > 2e5 and first.bytes('test') > 2e5
  about = first.manifest
  assert about['python'] == '{}.{}.{}'.format(*sys.version_info)
  names = [i['name'] for i in about['inputs']]
  assert 'argparse.py' in names and len(set(names)) == len(names)
  lines = first.summary().splitlines()
  assert [line.split()[0] for line in lines] == list(SPLITS)
  for split, line in zip(SPLITS, lines, strict=True):
    assert f'stdlib, Python {about["python"]}' in line
    assert f'{first.bytes(split):,} bytes' in line
    assert about['splits'][split]['sha256'][:12] in line
  again = data.prepare(source='stdlib', cache=str(tmp_path))
  assert again.folder == first.folder and again.manifest == about


@pytest.mark.parametrize('kind, vocab', KINDS)
def test_equal_content_gives_equal_folders(write, tmp_path, kind, vocab):
  root = write(corpus())
  moved = shutil.copytree(root, tmp_path / 'moved')
  for where, cache in ((root, 'c1'), (root, 'c2'), (moved, 'c3')):
    data.prepare(
      source=f'files:{where}',
      tokenizer=kind,
      vocab=vocab,
      cache=str(tmp_path / cache),
    )
  first = contents(tmp_path / 'c1')
  assert len(first) == 8  # manifest, tokenizer, three streams and offsets
  assert first == contents(tmp_path / 'c2') == contents(tmp_path / 'c3')


def test_only_what_matters_makes_another_folder(write, tmp_path):
  root = write(corpus())
  plain = dict(source=f'files:{root}', cache=str(tmp_path / 'c'))

  def folder(**changed):
    return data.prepare(**plain | changed).folder

  first = folder()
  assert folder() == folder(vocab=999) == first  # bytes have no vocab
  (root / 'more.txt').write_text('more')
  more = folder()
  (root / 'more.txt').rename(root / 'renamed.txt')  # can change its split
  renamed = folder()
  bpe = folder(tokenizer='bpe', vocab=330)
  smaller = folder(tokenizer='bpe', vocab=320)
  assert len({first, more, renamed, bpe, smaller}) == 5


def test_folders_keep_their_names_between_versions(write, tmp_path):
  """What an earlier version prepared is found again: keys of commit 501f1e5."""
  root = write({f'{s}.txt': f'{s} a\n##\n{s} b\n' for s in SPLITS})
  source, cache = f'files:{root}', tmp_path / 'c'
  folders = [
    data.prepare(**arguments, cache=str(cache)).folder.name
    for arguments in (
      dict(source=source),
      dict(source=f'mix:0.5*{source}+1.5*{source}', separator='##'),
      dict(source='tfds:books', manual_dir=str(root)),
    )
  ]
  assert folders == [
    '0972d783d140954ff9682098',
    '6c3599a77f3fb94bb0a05f57',
    'd0963937a28a2d952d868597',
  ]
  assert (cache / 'tfds' / '6a987460493e5b54050071e3').is_dir()


def test_tokenizers_learn_from_the_train_split_alone(write, tmp_path):
  files = {'train.txt': prose(400), 'valid.txt': 'x', 'test.txt': 'y'}
  other = files | {'valid.txt': prose(50, 1) + '\u20ac', 'test.txt': 'zz' * 99}
  names = []
  for i, these in enumerate((files, other)):
    made = data.prepare(
      source=f'files:{write(these)}',
      tokenizer='bpe',
      vocab=330,
      cache=str(tmp_path / str(i)),
    )
    names.append(made.tokenizer.name)
  assert names[0] == names[1]


def test_a_saved_tokenizer_reads_another_corpus(write, tmp_path):
  cache = str(tmp_path / 'c')
  first = data.prepare(
    source=f'files:{write(corpus())}', tokenizer='bpe', vocab=330, cache=cache
  )
  first.tokenizer.save(tmp_path / 'saved.json')
  root = write({'other/valid.txt': prose(9, 5), 'other/test.txt': prose(9, 6)})
  other = data.prepare(
    source=f'files:{root}/other',
    tokenizer=str(tmp_path / 'saved.json'),
    cache=cache,
  )
  assert other.tokenizer.name == first.tokenizer.name
  assert other.tokenizer.decode(other.tokens('test')) == prose(9, 6)
  with pytest.raises(ValueError, match=r"no split 'train', only valid, test; "):
    other.tokens('train')
  with pytest.raises(ValueError, match='no split train to train bpe on'):
    data.prepare(source=f'files:{root}/other', tokenizer='bpe', cache=cache)


def test_large_vocabularies_are_stored_whole(write, tmp_path, monkeypatch):
  monkeypatch.setattr(writing, 'UINT16_VOCAB', 256)
  made = data.prepare(source=f'files:{write(corpus())}', cache=str(tmp_path))
  assert made.tokens('train').dtype == np.uint32
  assert made.tokens('train').max() == 256


@pytest.mark.parametrize('damage', ['cut', 'flip', 'gone', 'offsets'])
def test_damaged_streams_are_noticed(write, tmp_path, damage):
  def prepare():
    return data.prepare(source=f'files:{root}', cache=str(tmp_path / 'c'))

  root = write(corpus())
  folder = prepare().folder
  whole = contents(folder)
  for split in SPLITS:
    path = folder / f'{split}.uint16'
    raw = path.read_bytes()
    if damage == 'cut':
      path.write_bytes(raw[:-100])
    elif damage == 'flip':
      path.write_bytes(raw[:50] + bytes([raw[50] ^ 1]) + raw[51:])
    elif damage == 'gone':
      path.unlink()
    else:
      np.save(folder / f'{split}.offsets.npy', np.arange(3))
    with pytest.raises(
      ValueError, match=r'is damaged .* delete that fold'
    ) as error:
      prepare()
    says = str(error.value)
    assert '\n' not in says and str(folder) in says and split in says
    for name, content in whole.items():
      (folder / name).write_bytes(content)
  shutil.rmtree(folder)
  prepare()
  assert contents(folder) == whole


def test_damaged_manifest(write, tmp_path):
  source = f'files:{write(corpus())}'
  made = data.prepare(source=source, cache=str(tmp_path))
  (made.folder / 'manifest.json').write_text('{')
  with pytest.raises(ValueError, match='is damaged'):
    data.prepare(source=source, cache=str(tmp_path))


@pytest.mark.parametrize(
  'arguments, error, says',
  [
    (dict(tokenizer='gpt3'), ValueError, 'there are bytes, bpe, unigram'),
    (dict(tokenizer='no.json'), FileNotFoundError, r'no\.json'),
    (dict(separator='a\nb'), ValueError, 'must be a single line'),
    (dict(source='wikitext'), ValueError, "'sample', 'stdlib', 'files:PATH'"),
    (dict(sources='stdlib'), TypeError, 'sources'),
  ],
)
def test_bad_arguments(tmp_path, arguments, error, says):
  with pytest.raises(error, match=says):
    data.prepare(**arguments, cache=str(tmp_path))


@pytest.mark.parametrize('vocab', [10, 100_000])
def test_bad_vocabulary_leaves_nothing_behind(write, tmp_path, vocab):
  cache = tmp_path / 'c'
  with pytest.raises(ValueError, match=f'vocab = {vocab} .* at (most|least)'):
    data.prepare(
      source=f'files:{write(corpus())}',
      tokenizer='bpe',
      vocab=vocab,
      cache=str(cache),
    )
  assert contents(cache) == {}


CHILD = """
import importlib, os, signal, sys
from extrapolation import data

source, cache, module, name, when = sys.argv[1:]
module = importlib.import_module(module)
real = getattr(module, name)

def killed(*args, **kwargs):
  if when == 'after':
    real(*args, **kwargs)
  os.kill(os.getpid(), signal.SIGKILL)

if when != 'never':
  setattr(module, name, killed)
data.prepare(source=source, tokenizer='bpe', vocab=330, cache=cache)
"""


def start(source, cache, *where):
  arguments = [sys.executable, '-c', CHILD, source, str(cache), *where]
  return subprocess.Popen(arguments, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
  'where',
  [
    ('extrapolation.data.splits', 'gather', 'after'),
    ('extrapolation.data.tokenizers', 'train', 'before'),
    ('extrapolation.data.writing', '_write', 'after'),
    ('os', 'replace', 'before'),
  ],
  ids=lambda where: '-'.join(where[1:]),
)
def test_a_killed_preparation_is_never_read(write, tmp_path, where):
  source, cache = f'files:{write(corpus())}', tmp_path / 'c'
  assert start(source, cache, *where).wait(60) == -signal.SIGKILL
  left = [p for p in cache.iterdir() if p.is_dir()]
  assert len(left) == 1 and left[0].name.startswith('.')
  arguments = dict(source=source, tokenizer='bpe', vocab=330)
  data.prepare(**arguments, cache=str(cache))
  data.prepare(**arguments, cache=str(tmp_path / 'clean'))
  assert contents(cache) == contents(tmp_path / 'clean')


def test_two_processes_prepare_at_once(write, tmp_path):
  source, cache = f'files:{write(corpus())}', tmp_path / 'c'
  both = [start(source, cache, 'os', 'replace', 'never') for _ in range(2)]
  for process in both:
    assert process.communicate(timeout=60)[1] == b'' and not process.returncode
  assert len({name.split('/')[0] for name in contents(cache)}) == 1


def test_manifest_is_json_without_this_machine(write, tmp_path):
  made = data.prepare(source=f'files:{write(corpus())}', cache=str(tmp_path))
  text = (made.folder / 'manifest.json').read_text()
  assert str(tmp_path) not in text and os.uname().nodename not in text
  about = json.loads(text)
  about['tokenizer'].pop('sha256')
  assert about['tokenizer'] == {'name': 'bytes', 'V': 257, 'eos': 256}
  assert len(about['inputs']) == 60
