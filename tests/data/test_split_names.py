"""Which file is which split: as people name them, or refused."""

import os
import subprocess
import sys

import pytest

from extrapolation import data
from extrapolation.data.sources import files
from extrapolation.data.sources.split_names import no_text

from .test_record_files import documents, prepared


def splits(root, **more):
  return {i.name: i.split for i in files.read(str(root), **more).inputs}


@pytest.mark.parametrize(
  'names',
  [
    ('ptb.train.txt', 'ptb.valid.txt', 'ptb.test.txt'),
    ('train.txt', 'dev.txt', 'test.txt'),
    ('a/b/Train/x', 'a/b/Validation/x', 'a/b/Test/x'),
    ('enwik8_training.txt', 'enwik8_validation.txt', 'enwik8_testing.txt'),
    ('TRAIN', 'VAL', 'TEST'),
    ('x-train-00000-of-00002', 'x-val-00000-of-00002', 'x-test-00000-of-00002'),
    ('trainSet.txt', 'devSet.txt', 'testSet.txt'),
    ('train/a/1', 'dev-clean/a/1', 'test-clean/a/1'),
  ],
)
def test_names_as_people_write_them(write, names):
  text = {n: n for n in names}
  root = write(text | {'README.md': 'r', 'LICENSE.txt': 'l', '.DS_Store': 'd'})
  wanted = dict(zip(names, ('train', 'valid', 'test'), strict=True))
  assert splits(root) == wanted


@pytest.mark.parametrize(
  'names, says',
  [
    (
      ('train.txt', 'test.txt', 'more.txt'),
      'train, test for 2 .* for more.txt',
    ),
    (('train/test.txt', 'train/a.txt'), 'train/test.txt says train and test'),
    (('src/a.py', 'tests/b.py', 'test/c.py'), 'say test for 1 of 3'),
    (('test.txt', 'a', 'b', 'c', 'd', 'e'), 'for a, b, c and 2 more, which'),
  ],
)
def test_doubtful_names_are_refused_with_the_reading(write, names, says):
  root = write({n: n for n in names})
  with pytest.raises(ValueError, match=says) as error:
    files.read(str(root))
  message = str(error.value)
  assert '\n' not in message and 'data.valid=files:' in message
  assert 'data.splits=none' in message
  assert set(splits(root, by_names=False).values()) == {'train'}


@pytest.mark.parametrize(
  'name, why',
  [
    ('README', 'about the data'), ('Readme.md', 'about the data'),
    ('licence.txt', 'about the data'), ('LICENSES/a', 'about the data'),
    ('dataset_infos.json', 'about the data'), ('x.sha256', 'about the data'),
    ('a/.cache/x', 'hidden'), ('__MACOSX/x', 'hidden'), ('a.txt', ''),
    ('stated.txt', ''), ('readme_of_life/x.txt', 'about the data'),
    ('noticeable.txt', ''),
  ],
)  # fmt: skip
def test_what_is_no_text_by_accident(name, why):
  assert no_text(name) == why


def test_a_readme_that_is_named_is_read(write):
  root = write({'README.md': 'words'})
  assert splits(root / 'README.md') == {'README.md': 'train'}
  with pytest.raises(FileNotFoundError, match='no file is text: README.md'):
    files.read(str(root))


def test_links_are_followed_once_each(write):
  root = write({'own/a.txt': 'a', 'elsewhere/b.txt': 'b'})
  (root / 'own' / 'link').symlink_to(root / 'elsewhere')
  (root / 'own' / 'again').symlink_to(root / 'elsewhere')
  (root / 'elsewhere' / 'loop').symlink_to(root / 'own')
  (root / 'own' / 'gone').symlink_to(root / 'nowhere')
  assert sorted(splits(root / 'own')) == ['a.txt', 'again/b.txt']


def test_a_folder_with_brackets_in_its_name(write):
  root = write(
    {'[2024] (a*)/x.txt': 'x', '[2024] (a*)/y.txt': 'y', '2/x.txt': ''}
  )
  assert sorted(splits(f'{root}/[2024] (a*)/*.txt')) == ['x.txt', 'y.txt']
  assert sorted(splits(f'{root}/[2024] (a*)')) == ['x.txt', 'y.txt']
  assert sorted(splits(f'{root}/[2]/*.txt')) == ['2/x.txt']  # as before


def test_a_name_that_is_not_utf_8(write, tmp_path):
  root = write({'a.txt': 'words\n' * 99})
  odd = os.path.join(os.fsencode(root), b'caf\xe9.txt')
  with open(odd, 'w') as f:
    f.write('more\n' * 99)
  made = prepared(f'files:{root}', tmp_path)
  assert sum(map(len, documents(made))) == 99 * 11
  again = prepared(f'files:{root}', tmp_path)
  assert again.folder == made.folder


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_blank_lines_part_documents(write, tmp_path, end):
  texts = [f'one {i}{end}two{end}' for i in range(60)]
  text = f'{end}  {end}'.join(texts) + end * 3
  made = prepared(
    f'files:{write({"a.txt": text})}', tmp_path, separator='blank'
  )
  assert documents(made) == sorted(texts)


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_articles_and_separators_with_crlf(write, tmp_path, end):
  articles = [
    line
    for i in range(60)
    for line in (' ', f' = Title {i} = ', ' ', ' Words . ')
  ]
  root = write(
    {
      'w.txt': end.join([*articles, '']),
      's.txt': ''.join(f'{i}{end}##{end}' for i in range(60)),
    }
  )
  made = prepared(f'files:{root}/w.txt', tmp_path, separator='wikitext')
  assert len(documents(made)) == 60
  made = prepared(f'files:{root}/s.txt', tmp_path, separator='##')
  assert documents(made) == sorted(f'{i}{end}' for i in range(60))


def test_a_byte_order_mark_is_dropped_and_said(write, tmp_path):
  root = write({'a.txt': b'\xef\xbb\xbfwords\n' * 1 + b'words\n' * 200})
  made = prepared(f'files:{root}', tmp_path)
  text = made.tokenizer.decode(made.tokens('train'))
  assert text.startswith('words') and '\ufeff' not in text
  assert 'not read: 1 byte order mark dropped' in made.summary()


def test_a_dry_run_reads_nothing(write, tmp_path):
  names = ['my.train.jsonl', 'my.dev.jsonl', 'README.md']
  root = write(dict.fromkeys(names, '\x00 not read'))
  run = [sys.executable, '-m', 'extrapolation.data', f'--source=files:{root}']
  ran = subprocess.run(
    [*run, '--dry_run', f'--cache={tmp_path}/c'],
    capture_output=True, text=True, check=True,
  )  # fmt: skip
  lines = [line.split() for line in ran.stdout.splitlines()]
  assert lines[0] == ['file', 'split', 'read', 'why']
  assert lines[1][:3] == ['my.dev.jsonl', 'valid', 'jsonl']
  assert lines[2][:3] == ['my.train.jsonl', 'train', 'jsonl']
  assert lines[3][:2] == ['README.md', '-']
  assert lines[4] == ['-', 'test', '-', '5', '%', 'held', 'out', 'of', 'train']
  assert not (tmp_path / 'c').exists()


def test_no_rule_of_splits_but_those_there_are(write):
  with pytest.raises(
    ValueError, match="splits = 'folders'; there are names, n"
  ):
    data.prepare(source=f'files:{write({"a": "b"})}', splits='folders')
