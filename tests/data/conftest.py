"""Small corpora on disk, made for each test."""

import functools
import random

import pytest

STEMS = 'the of and head key query value distance token length bias'
WORDS = [s + e for s in STEMS.split() for e in ('', 's', 'ed', 'er', 'ing')]


@functools.cache
def prose(lines: int, seed: int = 0) -> str:
  """Lines of words and numbers, equal for equal arguments."""
  rng = random.Random(seed)
  return ''.join(
    ' '.join(
      [*rng.choices(WORDS, k=rng.randint(1, 9)), str(rng.randint(0, 99))]
    )
    + rng.choice(['\n', '.\n', '\n\n'])
    for _ in range(lines)
  )


@pytest.fixture
def write(tmp_path):
  """write({name: str or bytes}) -> folder with these files."""

  def write(files):
    root = tmp_path / 'corpus'
    for name, text in files.items():
      path = root / name
      path.parent.mkdir(parents=True, exist_ok=True)
      data = text if isinstance(text, bytes) else text.encode()
      path.write_bytes(data)
    return root

  return write
