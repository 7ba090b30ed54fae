"""A run folder whose config names files and places that are not its own."""

import pathlib
import shutil
import stat

import pytest

from extrapolation import data, evaluate, runs
from extrapolation.output import signed

from ..data.conftest import prose

SECRET = 'the key is 12345678\n' * 400


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
  """The user's own cache."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
  return tmp_path / 'xdg' / 'extrapolation'


def written(path):
  """Files that hold the secret, and what else lies in a folder."""
  files = [p for p in path.rglob('*') if p.is_file()]
  return [p for p in files if b'12345678' in p.read_bytes()], files


@pytest.fixture
def write(tmp_path):
  def write(files):
    root = tmp_path / 'corpus'
    root.mkdir(exist_ok=True)
    for name, text in files.items():
      (root / name).write_text(text)
    return root

  return write


def point(workdir, **changed):
  path = workdir / 'config.json'
  values = signed.read(path)
  values['data'].update(changed)
  signed.write(path, values)


@pytest.mark.parametrize('how', ['files', 'tfds', 'mix', 'valid', 'tokenizer'])
def test_a_private_file_is_not_copied(trained_copy, tmp_path, own, how):
  private = tmp_path / 'private'
  private.mkdir(mode=0o700)
  for split in data.SPLITS:
    (private / f'{split}.txt').write_text(SECRET)
  place = tmp_path / 'place'
  source = f'files:{private}'
  point(
    trained_copy,
    cache=str(place),
    **{
      'files': dict(source=source),
      'tfds': dict(source='tfds:books', manual_dir=str(private)),
      'mix': dict(source=f'mix:{source}+{source}'),
      'valid': dict(valid=source),
      'tokenizer': dict(source=source, tokenizer='bpe', vocab=300),
    }[how],
  )
  with pytest.raises(ValueError, match='not the one that was read') as error:
    evaluate.evaluate(str(trained_copy))
  assert '\n' not in str(error.value)
  assert not place.exists() and written(tmp_path / 'xdg') == ([], [])


@pytest.mark.parametrize('damage', ['{', '[]', '{}', '[' * 10**5, 'null', ''])
def test_without_digests_nothing_is_copied(trained_copy, tmp_path, damage):
  point(trained_copy, cache=str(tmp_path / 'place'))
  (trained_copy / 'data.json').write_text(damage)
  with pytest.raises(ValueError) as error:
    runs.load(str(trained_copy))
  assert '\n' not in str(error.value)
  (trained_copy / 'data.json').unlink()
  with pytest.raises(FileNotFoundError, match=r'data\.json'):
    runs.load(str(trained_copy))
  assert not (tmp_path / 'place').exists()
  assert not (trained_copy / 'data.json').exists()


def test_the_same_text_goes_to_the_users_own_cache(trained_copy, tmp_path, own):
  """A run from elsewhere, whose text is here too."""
  point(trained_copy, cache=str(tmp_path / 'place'))
  r = runs.load(str(trained_copy))
  assert r.text().folder.parent == own and not (tmp_path / 'place').exists()
  for path in (own, r.text().folder, *r.text().folder.iterdir()):
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_cache_that_it_names_is_read_and_not_written(trained_copy, own):
  r = runs.load(str(trained_copy))
  assert not own.exists()  # it was prepared where its user said
  before = sorted(r.text().folder.parent.rglob('*'))
  shutil.rmtree(r.text().folder)
  again = runs.load(str(trained_copy))
  assert again.text().folder.parent == own
  after = {p for p in before if p.exists()}
  assert not [p for p in after if r.text().folder in p.parents]


def test_a_cache_of_other_tokens_is_not_believed(write, tmp_path, own):
  """It vouches for itself, so that only the expected digests tell."""
  root = write({f'{i}.txt': prose(9, i) for i in range(9)})
  arguments = dict(source=f'files:{root}', cache=str(tmp_path / 'place'))
  first = data.prepare(**arguments)
  other = data.prepare(
    source=f'files:{write({"0.txt": prose(9, 77)})}', out=str(tmp_path / 'o')
  )
  shutil.rmtree(first.folder)
  shutil.copytree(other.folder, first.folder)
  write({'0.txt': prose(9, 0)})
  again = data.prepare(**arguments, expect=first.manifest)
  assert again.folder.parent == own
  assert again.manifest['splits'] == first.manifest['splits']
  with pytest.raises(ValueError, match='holds other prepared data'):
    data.prepare(**arguments)


def test_a_prepared_folder_must_be_the_one(write, tmp_path):
  root = write({f'{i}.txt': prose(9, i) for i in range(9)})
  first = data.prepare(source=f'files:{root}', out=str(tmp_path / 'a'))
  write({'0.txt': prose(9, 77)})
  other = data.prepare(source=f'files:{root}', out=str(tmp_path / 'b'))
  expect = first.manifest
  data.prepare(source=f'prepared:{first.folder}', expect=expect)
  with pytest.raises(ValueError, match='its t.* split has changed'):
    data.prepare(source=f'prepared:{other.folder}', expect=expect)


def test_a_builder_copies_nothing_that_is_not_expected(write, tmp_path, own):
  """It builds records of the text before there are tokens."""
  root = write({f'{s}.txt': s for s in data.SPLITS})
  arguments = dict(source='tfds:books', manual_dir=str(root))
  first = data.prepare(**arguments, cache=str(tmp_path / 'c'))
  again = data.prepare(
    **arguments, cache=str(tmp_path / 'c'), expect=first.manifest
  )
  assert again.folder == first.folder and not own.exists()
  write({'train.txt': SECRET})
  with pytest.raises(ValueError, match=r'train\.txt has changed, or is new'):
    data.prepare(
      **arguments, cache=str(tmp_path / 'place'), expect=first.manifest
    )
  assert not own.exists() and not pathlib.Path(tmp_path / 'place').exists()
