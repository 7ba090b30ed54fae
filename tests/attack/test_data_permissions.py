"""Copies of text, and the files beside them, where others can look."""

import os
import shutil
import stat
import tempfile

import pytest

from extrapolation import data
from extrapolation.data import folder_cache, tokenizers
from extrapolation.data.tokenizers import gpt2

from ..data.conftest import prose


def mode(path):
  return stat.S_IMODE(path.stat().st_mode)


def opened(folder):
  """Files and folders there that others can read or enter."""
  return [p for p in (folder, *folder.rglob('*')) if mode(p) & 0o077]


@pytest.fixture
def public(tmp_path_factory):
  """Text that everybody may read, in a folder that all may enter."""
  root = tempfile.mkdtemp(dir='/var/tmp', prefix='extrapolation-test-')
  os.chmod(root, 0o755)
  for split in data.SPLITS:
    path = os.path.join(root, f'{split}.txt')
    with open(path, 'w') as file:
      file.write(prose(20))
    os.chmod(path, 0o644)
  yield root
  shutil.rmtree(root)


@pytest.mark.parametrize('source', ['files', 'tfds'])
@pytest.mark.parametrize('cache', ['default', 'new', 'sticky', 'open'])
def test_copies_of_public_text(public, tmp_path, monkeypatch, cache, source):
  """Only a folder that the user opened himself is a shared cache."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
  folder = tmp_path / 'xdg' / 'extrapolation'
  folder.mkdir(parents=True)
  folder.chmod(0o755)  # made so by an earlier version
  if cache != 'default':
    folder = tmp_path / 'c'
  if cache in ('sticky', 'open'):
    folder.mkdir()
    folder.chmod(0o1777 if cache == 'sticky' else 0o750)
  source = dict(
    files=dict(source=f'files:{public}'),
    tfds=dict(source='tfds:books', manual_dir=public),
  )[source]
  made = data.prepare(**source, cache='' if cache == 'default' else str(folder))
  if cache == 'open':
    assert mode(made.folder) == 0o750
    assert {mode(p) for p in made.folder.iterdir()} == {0o640}
  else:
    assert not opened(made.folder)
  if cache == 'new':
    assert not opened(folder / made.folder.name) and not mode(folder) & 0o077


@pytest.mark.parametrize('where', ['cache', 'out', 'tfds'])
@pytest.mark.parametrize('what', ['file', 'folder'])
def test_copies_of_private_text(public, tmp_path, where, what):
  """No more open than their source, wherever they lie."""
  if what == 'file':
    os.chmod(os.path.join(public, 'valid.txt'), 0o600)
  else:
    os.chmod(public, 0o700)
  cache = tmp_path / 'c'
  cache.mkdir()
  cache.chmod(0o755)
  made = data.prepare(
    source='tfds:books' if where == 'tfds' else f'files:{public}',
    manual_dir=public,
    cache=str(cache),
    out=str(tmp_path / 'out') if where == 'out' else '',
  )
  assert not opened(made.folder)
  assert not [p for p in cache.glob('tfds/*/*') if opened(p)]


def lock(folder, says):
  with (
    pytest.raises(ValueError, match=says) as error,
    folder_cache.making(folder),
  ):
    pass
  assert '\n' not in str(error.value)


def test_a_lock_is_not_opened_through_a_link(tmp_path):
  victim = tmp_path / 'victim'
  victim.write_text('precious')
  (tmp_path / '.key.lock').symlink_to(victim)
  lock(tmp_path / 'key', r'key\.lock is a link .* delete it')
  assert victim.read_text() == 'precious'
  (tmp_path / '.other.lock').symlink_to(tmp_path / 'absent')
  lock(tmp_path / 'other', 'is a link')
  assert not (tmp_path / 'absent').exists()


def test_a_lock_is_no_pipe(tmp_path):
  os.mkfifo(tmp_path / '.key.lock')
  lock(tmp_path / 'key', 'no file, so no lock')


def test_a_lock_is_not_cut_short(tmp_path):
  (tmp_path / '.key.lock').write_text('precious')
  with folder_cache.making(tmp_path / 'key'):
    pass
  assert (tmp_path / '.key.lock').read_text() == 'precious'


def test_what_is_there_is_on_the_disk(tmp_path, monkeypatch):
  """All files, their folder, and then the name of the folder."""
  synced, real = [], os.fsync
  monkeypatch.setattr(
    os, 'fsync', lambda f: synced.append(os.fstat(f).st_ino) or real(f)
  )
  with folder_cache.making(tmp_path / 'key') as new:
    (new / 'a').write_text('a')
    (new / 'b').mkdir()
    (new / 'b' / 'c').write_text('c')
  key = tmp_path / 'key'
  inodes = [p.stat().st_ino for p in (*key.rglob('*'), key, tmp_path)]
  assert sorted(synced) == sorted(inodes)
  assert synced[-2:] == inodes[-2:]


def test_what_tiktoken_fetches_is_not_kept_where_others_write(
  tmp_path, monkeypatch
):
  """Its own place is a folder of a fixed name in the shared temporary one."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  for name in ('TIKTOKEN_CACHE_DIR', 'DATA_GYM_CACHE_DIR'):
    monkeypatch.delenv(name, raising=False)
  seen = []
  monkeypatch.setattr(gpt2.network, 'require', lambda *a: None)

  def read(*urls):
    seen.append(os.environ.get('TIKTOKEN_CACHE_DIR'))
    raise KeyError('not now')

  monkeypatch.setattr(
    gpt2._tiktoken().load, 'data_gym_to_mergeable_bpe_ranks', read
  )
  with pytest.raises(ValueError):
    tokenizers.given('gpt2')
  assert seen == [str(tmp_path / 'extrapolation' / 'tiktoken')]
