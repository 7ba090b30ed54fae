"""A file is what it was or what it shall be, never something between."""

import os

import pytest

from extrapolation.output import files


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
  path = tmp_path / 'a.txt'
  files.write_text(path, 'old')
  with files.atomic(path) as temporary:
    temporary.write_text('new')
    assert path.read_text() == 'old'
  assert path.read_text() == 'new' and os.listdir(tmp_path) == ['a.txt']


@pytest.mark.parametrize('error', [OSError, ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
  path = tmp_path / 'a.txt'
  path.write_text('old')
  with pytest.raises(error), files.atomic(path) as temporary:
    temporary.write_text('half')
    raise error
  assert path.read_text() == 'old' and os.listdir(tmp_path) == ['a.txt']


def test_text_is_written_as_it_is(tmp_path):
  text = 'a\r\nb\nγ\r'
  files.write_text(tmp_path / 'a', text)
  assert (tmp_path / 'a').read_bytes() == text.encode()
