import errno
import os
import pathlib
import threading

import pytest

from extrapolation.data import folder_cache

REMEDY = r'choose another data\.cache'


def fill(folder, text='whole'):
  with folder_cache.making(folder) as new:
    if new:
      (new / 'a').write_text(text)
  return (folder / 'a').read_text()


def test_where_it_is(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  assert folder_cache.root() == tmp_path / '.cache' / 'extrapolation'
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
  assert folder_cache.root() == tmp_path / 'xdg' / 'extrapolation'
  assert folder_cache.root('~/mine') == tmp_path / 'mine'


def test_a_folder_appears_whole_and_once(tmp_path):
  folder = tmp_path / 'deep' / 'key'
  with folder_cache.making(folder) as new:
    (new / 'a').write_text('whole')
    assert not folder.exists()
  assert (folder / 'a').read_text() == 'whole'
  assert folder.stat().st_mode & 0o777 == 0o700
  assert fill(folder, 'other') == 'whole'
  assert [p.name for p in folder.parent.iterdir() if p.is_dir()] == ['key']


def test_an_error_leaves_nothing(tmp_path):
  with pytest.raises(KeyError), folder_cache.making(tmp_path / 'key') as new:
    (new / 'a').write_text('half')
    raise KeyError
  assert not [p for p in tmp_path.iterdir() if p.is_dir()]
  assert fill(tmp_path / 'key') == 'whole'


def test_a_second_writer_waits_and_finds_it_done(tmp_path):
  entered = []

  def second():
    with folder_cache.making(tmp_path / 'key') as new:
      entered.append(new)

  thread = threading.Thread(target=second)
  with folder_cache.making(tmp_path / 'key') as new:
    (new / 'a').write_text('first')
    thread.start()
    thread.join(0.2)
    assert not entered
  thread.join(10)
  assert entered == [None]


def test_another_host_was_first(tmp_path):
  with folder_cache.making(tmp_path / 'key') as new:
    (new / 'a').write_text('ours')
    (tmp_path / 'key').mkdir()
    (tmp_path / 'key' / 'a').write_text('theirs')
  assert (tmp_path / 'key' / 'a').read_text() == 'theirs'
  assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ['key']


def test_full_disk_names_the_folder_and_the_remedy(tmp_path):
  with (
    pytest.raises(OSError, match=REMEDY) as error,
    folder_cache.making(tmp_path / 'key'),
  ):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  assert 'No space left' in str(error.value)
  assert str(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_a_file_in_the_way(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(OSError, match=REMEDY):
    fill(tmp_path / 'file' / 'key')


def test_errors_of_other_files_are_their_own(tmp_path):
  with (
    pytest.raises(FileNotFoundError) as error,
    folder_cache.making(tmp_path / 'key'),
  ):
    pathlib.Path('/nonexistent/input.txt').read_text()
  assert 'data.cache' not in str(error.value)


def test_without_locks(tmp_path, monkeypatch):
  monkeypatch.setattr(folder_cache, 'fcntl', None)
  assert fill(tmp_path / 'key') == 'whole'
