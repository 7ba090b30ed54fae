"""Which split the name of a file says, and which names are of no text."""

import os
import pathlib
import re
from collections.abc import Sequence

from extrapolation.data.sources.inputs import SPLITS

# Words in names, in any of the ways that people write them.
_SAYS = {
  'train': ('train', 'training', 'trn'),
  'valid': (
    'valid',
    'validation',
    'validate',
    'val',
    'dev',
    'devel',
    'development',
  ),
  'test': ('test', 'testing', 'tst'),
}
_SPLIT = {word: split for split, words in _SAYS.items() for word in words}
# ptb.train.txt, train-00000-of-00001.parquet, my_test2.txt, trainData.txt
_WORD = re.compile(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])')

_ABOUT = re.compile(
  r'(readme|licen[cs]es?|copying|copyright|notice|authors?|contributors|'
  r'citation|changelog|catalog(ue)?|manifest|metadata|croissant|checksums?|'
  r'(md5|sha1|sha256|sha512)sums?|dataset_(infos?|dict|card)|state|features|'
  r'_success|desktop|thumbs)([._-].*)?'
)
_SUFFIXES = ('.md5', '.sha1', '.sha256', '.sha512', '.lock', '.license', '.db')


def splits_of(name: str) -> list[str]:
  """The splits that the words of a name say, of its folders as well."""
  words = {word.lower() for word in _WORD.findall(name)}
  said = {_SPLIT[word] for word in words if word in _SPLIT}
  return [split for split in SPLITS if split in said]


def split_of(name: str) -> str:
  """The one split that a name says, or ''."""
  said = splits_of(name)
  return said[0] if len(said) == 1 else ''


def no_text(name: str) -> str:
  """Why a file of this name is no text unless it is asked for; '' if it is."""
  *folders, file = pathlib.PurePosixPath(name).parts
  if any(part[:1] == '.' or part == '__MACOSX' for part in (*folders, file)):
    return 'hidden'
  lower = file.lower()
  about = any(_ABOUT.fullmatch(part.lower()) for part in (*folders, file))
  return 'about the data' if about or lower.endswith(_SUFFIXES) else ''


def assign(names: Sequence[str], source: str) -> tuple[list[str], str]:
  """The split of each file, and why.

  Names that all say a split make these splits; names that say none make one
  text. A single split is one text too: there is nothing beside it.

  Raises:
    ValueError: some names say a split and others say none, or one says two;
      with the reading that would have been made, and how to say another.
  """
  said = [splits_of(name) for name in names]
  for name, splits in zip(names, said, strict=True):
    if len(splits) > 1:
      raise _doubtful(source, f'the name {name} says {" and ".join(splits)}')
  there = sorted({s for splits in said for s in splits}, key=SPLITS.index)
  if not there:
    return ['train'] * len(names), 'no name says a split'
  silent = [n for n, splits in zip(names, said, strict=True) if not splits]
  if silent:
    count = len(names) - len(silent)
    raise _doubtful(
      source,
      f'names say {", ".join(there)} for {count} of {len(names)} files, and '
      f'nothing for {some(silent)}, which would be left out',
    )
  if len(there) == 1:
    return ['train'] * len(names), f'all names say {there[0]}: one text'
  return [splits[0] for splits in said], 'the names say so'


def some(names: Sequence[str], most: int = 3) -> str:
  """The first few of them, and how many more there are."""
  more = f' and {len(names) - most:,} more' if len(names) > most else ''
  return ', '.join(map(shown, names[:most])) + more


def shown(name: str) -> str:
  """A name that can be printed, also one that is not UTF-8."""
  return os.fsencode(name).decode(errors='backslashreplace')


def _doubtful(source: str, why: str) -> ValueError:
  return ValueError(
    f'files:{source}: {why}. Give the files of each split, '
    'data.source=files:.. data.valid=files:.. data.test=files:.., or '
    'data.splits=none to read all of it as one text'
  )
