"""The packaged sample: the same bytes everywhere, and free to be there."""

import hashlib
import itertools
import lzma
import pathlib

import numpy as np
import pytest

from extrapolation import data
from extrapolation.data import sources
from extrapolation.data.sources import SPLITS, corpora, sample

from .conftest import prose

ROOT = pathlib.Path(__file__).parents[2]
# Numbers in README.md, configs/ and results/ were measured on this text.
SHA256 = dict(
  train='3ca7cfb7e027b796cdea7f489446446f03572dd19b6f446201f958a072bc552b',
  valid='f6b3c60d6bde6b1f7c484e26f8a41ef780515ee94405509d31365c65022bbef6',
  test='45e6e476ce41edc471f69a90efe161e4b8fa663214edc3a369da4e08231c3a88',
)


def packed(split):
  return sample.FOLDER / f'{split}.txt.xz'


def unpacked(split):
  return lzma.decompress(packed(split).read_bytes())


def books(split):
  return [book for book in sample.catalog() if book['split'] == split]


@pytest.mark.parametrize('split', SPLITS)
def test_its_bytes_are_those_of_every_release(split):
  assert hashlib.sha256(unpacked(split)).hexdigest() == SHA256[split]


def test_it_is_small():
  assert sum(path.stat().st_size for path in sample.FOLDER.iterdir()) < 2.5e6


@pytest.mark.parametrize('split', SPLITS)
def test_the_catalog_names_every_book(split):
  read = unpacked(split).split(f'{sample.SEPARATOR}\n'.encode())
  assert [len(text) for text in read] == [b['bytes'] for b in books(split)]
  for book in books(split):
    # The United States by the year, other countries by 70 years after death.
    assert book['published'] < 1929 and book['died'] < 1954
    assert book['born'] < book['published'] < book['died']
    assert book['source'].startswith(book['author'] + '/')


def test_no_author_and_no_long_line_is_in_two_splits():
  for a, b in itertools.combinations(SPLITS, 2):
    authors = [{book['author'] for book in books(s)} for s in (a, b)]
    assert all(authors) and not authors[0] & authors[1]
    lines = [
      {line for line in unpacked(s).splitlines() if len(line) > 60}
      for s in (a, b)
    ]
    assert all(lines) and not lines[0] & lines[1]


def test_it_is_the_default_and_a_book_is_a_document(tmp_path):
  made = data.prepare(cache=str(tmp_path))
  assert made.manifest['source'] == 'sample'
  for split in SPLITS:
    ends = np.diff(made.offsets(split)) - 1  # without their eos
    assert ends.tolist() == [book['bytes'] for book in books(split)]
  start = made.tokens('test')[: len('CHAPTER 1. Loomings.')]
  assert made.tokenizer.decode(start) == 'CHAPTER 1. Loomings.'
  assert data.prepare(cache=str(tmp_path)).folder == made.folder


def test_another_python_reads_the_same(monkeypatch):
  from extrapolation.data import manifest

  def key(source):
    return manifest.key(corpora.parts(source), (source, '', ''), 'bytes', 0)

  here = key('sample'), key('stdlib')
  monkeypatch.setattr('platform.python_version', lambda: '4.0.0')
  assert key('sample') == here[0] and key('stdlib') != here[1]


def test_it_is_a_part_of_mixtures_with_separators_of_their_own(write):
  root = write({'a.txt': prose(9) + '##\n' + prose(9)})
  source = f'mix:0.5*sample+0.5*files:{root}'
  options = sources.Options(separator='##')
  parts = corpora.parts(source, options=options)
  assert [p.separator for p in parts] == [sample.SEPARATOR, '##']
  assert [p.source for p in corpora.parts('mix:stdlib+sample')] == [
    'stdlib',
    'sample',
  ]


def test_a_separator_that_it_does_not_use_is_refused():
  options = sources.Options(separator='##')
  with pytest.raises(ValueError, match="'##' is of no use: sample has"):
    corpora.parts('sample', options=options)


def test_an_installation_without_it_says_so(monkeypatch, tmp_path):
  monkeypatch.setattr(sample, 'FOLDER', tmp_path)
  with pytest.raises(FileNotFoundError, match='sample: .*install the package'):
    corpora.parts('sample')


def test_it_is_packaged(monkeypatch):
  """The list from which wheels, source archives and installations are made."""
  import setuptools

  monkeypatch.chdir(ROOT)
  told = {}
  monkeypatch.setattr(setuptools, 'setup', told.update)
  code = compile(
    (ROOT / 'setup.py').read_text(), str(ROOT / 'setup.py'), 'exec'
  )
  exec(code, {'__file__': str(ROOT / 'setup.py'), '__name__': 'setup'})
  build = setuptools.Distribution(told).get_command_obj('build_py')
  build.ensure_finalized()
  listed = {
    pathlib.Path(folder, name).resolve()
    for _, folder, _, names in build.data_files
    for name in names
  }
  there = {p for p in sample.FOLDER.iterdir() if p.suffix in ('.xz', '.json')}
  assert len(there) == 4 and there <= listed
