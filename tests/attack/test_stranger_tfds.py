"""A folder that TFDS prepared, from someone who wants his code to run here."""

import ast
import json
import pathlib
import sys

import pytest

from extrapolation import data
from extrapolation.data import sources

from ..data.test_builders import Pg19

EVIL = 'an_evil_module.Feature'
SEQUENCE = 'tensorflow_datasets.core.features.sequence_feature.Sequence'
NAMES = {
  'protocol buffer': {'pythonClassName': EVIL, 'text': {}},
  'its other spelling': {'python_class_name': EVIL, 'text': {}},
  'legacy': {'type': EVIL, 'content': {}},
  'JSON in JSON': {
    'pythonClassName': SEQUENCE,
    'jsonFeature': {
      'json': json.dumps({'feature': {'type': EVIL, 'content': {}}})
    },
  },
  'a submodule of the same beginning': {
    'pythonClassName': f'tensorflow_datasets_{EVIL}',
    'text': {},
  },
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A sound folder, and a module on the path that must not be imported."""
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  Pg19(
    data_dir=str(tmp_path / 'tfds'), file_format='array_record'
  ).download_and_prepare()
  code = f'import pathlib\npathlib.Path({str(tmp_path / "ran")!r}).touch()\n'
  for name in ('an_evil_module', 'tensorflow_datasets_an_evil_module'):
    (tmp_path / 'path' / f'{name}.py').parent.mkdir(exist_ok=True)
    (tmp_path / 'path' / f'{name}.py').write_text(code)
    monkeypatch.delitem(sys.modules, name, raising=False)
  monkeypatch.syspath_prepend(tmp_path / 'path')
  return tmp_path / 'tfds' / 'pg19' / '0.1.1'


def refused(tmp_path, *says, **arguments):
  with pytest.raises(ValueError) as error:
    data.prepare(**arguments, cache=str(tmp_path / 'cache'))
  message = str(error.value)
  assert '\n' not in message and all(s in message for s in says), message
  assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('how', NAMES)
@pytest.mark.parametrize('source', ['tfds:pg19', 'tfds:books', 'manual'])
def test_its_classes_are_not_imported(folder, tmp_path, how, source):
  path = folder / 'features.json'
  features = json.loads(path.read_text())
  features['featuresDict']['features']['link'] = NAMES[how]
  path.write_text(json.dumps(features))
  arguments = dict(source=source)
  if source == 'manual':
    arguments = dict(source='tfds:books', manual_dir=str(folder.parent))
  refused(tmp_path, str(path), 'an_evil_module.Feature', **arguments)


def test_not_even_when_the_folder_is_read_later(folder, tmp_path):
  """It is looked through at each reading, not only when it is found."""
  (part,) = sources.parts('tfds:pg19')
  path = folder / 'features.json'
  path.write_text(json.dumps(NAMES['protocol buffer']))
  with pytest.raises(ValueError, match=EVIL):
    next(sources.documents(part.inputs[0], ''))
  assert not (tmp_path / 'ran').exists()


def test_a_feature_may_be_called_type(folder, tmp_path):
  path = folder / 'features.json'
  features = json.loads(path.read_text())
  inner = features['featuresDict']['features']
  inner['type'] = inner.pop('link')
  path.write_text(json.dumps(features))
  made = data.prepare(source='tfds:pg19', cache=str(tmp_path / 'cache'))
  assert made.manifest['splits']['train']['documents'] == 4


@pytest.mark.parametrize(
  'change',
  [
    lambda info: info['splits'][0].update(filepathTemplate='../../{SPLIT}'),
    lambda info: info['splits'][0].update(filepath_template='/etc/{SPLIT}'),
    lambda info: info['splits'][0].update(name='../train'),
    lambda info: info.update(name='../../pg19'),
    lambda info: info['splits'][0].update(shardLengths=['3']),
    lambda info: info['splits'][0].update(shardLengths=['5']),
    lambda info: info['splits'][0].update(shardLengths=['4', '4']),
    lambda info: info['splits'][0].update(shardLengths=['-4']),
    lambda info: info['splits'][0].update(shardLengths='many'),
    lambda info: info.update(splits=7),
    lambda info: info.update(version=[]),
    lambda info: info['splits'][0].pop('name'),
  ],
)
def test_what_it_states_of_its_files_is_compared(folder, tmp_path, change):
  path = folder / 'dataset_info.json'
  info = json.loads(path.read_text())
  change(info)
  path.write_text(json.dumps(info))
  refused(tmp_path, str(folder), source='tfds:pg19')


@pytest.mark.parametrize(
  'text', ['', '{', '[]', 'NaN', '[' * 100_000, '\0\xff', '{"a": 1e999'],
)  # fmt: skip
@pytest.mark.parametrize('name', ['features.json', 'dataset_info.json'])
def test_malformed_files(folder, tmp_path, name, text):
  (folder / name).write_bytes(text.encode('latin-1'))
  refused(tmp_path, str(folder / name), source='tfds:pg19')


def test_nothing_in_this_room_can_run_what_it_reads():
  """No pickle, no eval, no code of the Hub: read from the source."""
  root = pathlib.Path(data.__file__).parent
  bad = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'marshal', 'shelve'}
  bad |= {'eval', 'exec', 'allow_pickle', 'trust_remote_code', 'load_dataset'}
  for path in root.rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text())):
      names = [getattr(node, k, None) for k in ('id', 'attr', 'arg', 'name')]
      names.append(getattr(node, 'module', None))
      assert not bad & {n for n in names if isinstance(n, str)}, path
