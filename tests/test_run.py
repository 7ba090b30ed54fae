"""The folder of a run: refused when it is another's, mended after a kill."""

import json
import pathlib
import sys

import pytest

from extrapolation import config, runs


def test_a_config_comes_back_equal(tmp_path):
  c = config.override(config.base(), {'eval.lengths': '8,16'})
  runs.claim(str(tmp_path / 'a'), c).close()
  again = runs.load_config(str(tmp_path / 'a'))
  assert again.to_dict() == c.to_dict()
  assert again.eval.lengths == (8, 16)
  runs.claim(str(tmp_path / 'a'), c).close()


def test_another_config_is_refused_and_nothing_changes(tmp_path):
  folder = str(tmp_path / 'a')
  runs.claim(folder, config.override(config.base(), {})).close()
  before = (tmp_path / 'a' / 'config.json').read_bytes()
  other = config.override(config.base(), {'train.T': '8', 'model.rpe': 'type1'})
  with pytest.raises(
    ValueError, match="model.rpe: 'type2' -> 'type1'; train.T: 512 -> 8"
  ):
    runs.claim(folder, other)
  assert (tmp_path / 'a' / 'config.json').read_bytes() == before


@pytest.mark.parametrize(
  'key, value',
  [
    ('seed', '1'),
    ('data.tokenizer', 'bpe'),
    ('model.N', '2'),
    ('optim.lr', '1e-4'),
    ('train.steps', '60000'),
  ],
)
def test_every_section_that_training_reads_makes_another_run(
  tmp_path, key, value
):
  folder = str(tmp_path / 'a')
  runs.claim(folder, config.override(config.base(), {})).close()
  with pytest.raises(ValueError, match=f'here\\): {key}: '):
    runs.claim(folder, config.override(config.base(), {key: value}))


def test_what_is_evaluated_may_change(tmp_path):
  """Other lengths, or another encoding in the sweep, are not another run."""
  folder = str(tmp_path / 'a')
  runs.claim(folder, config.override(config.base(), {})).close()
  more = {'eval.lengths': '8,16', 'sweep.rpe': 'alibi,type2'}
  runs.claim(folder, config.override(config.base(), more)).close()
  assert runs.load_config(folder).eval.lengths == (8, 16)


def test_a_folder_killed_before_its_config_was_written_is_taken(tmp_path):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / '.config.json.123').write_text('')
  (tmp_path / 'a' / '.claims').mkdir()
  runs.claim(str(tmp_path / 'a'), config.override(config.base(), {})).close()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
  (tmp_path / 'thesis.tex').write_text('years of work')
  with pytest.raises(ValueError, match='not empty and not the folder of a run'):
    runs.claim(str(tmp_path), config.override(config.base(), {}))
  assert [p.name for p in tmp_path.iterdir()] == ['thesis.tex']


def test_two_processes_cannot_train_one_run(tmp_path):
  c = config.override(config.base(), {})
  lock = runs.claim(str(tmp_path / 'a'), c)
  with pytest.raises(OSError, match='another process is working'):
    runs.claim(str(tmp_path / 'a'), c)
  lock.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  c = config.override(config.base(), {})
  with pytest.raises(
    OSError, match="cannot write in '.*/file/a': Not a dir.*--wo"
  ):
    runs.claim(str(tmp_path / 'file' / 'a'), c)


def test_what_is_no_run_is_said(tmp_path):
  with pytest.raises(FileNotFoundError, match='not the folder of a run'):
    runs.load_config(str(tmp_path))


def test_metrics_continue_after_a_kill(tmp_path):
  m = runs.Metrics(str(tmp_path), 0)
  for step in (1, 2, 3):
    m.write(step, loss=step / 2)
  m.close()
  with open(tmp_path / 'metrics.jsonl', 'a') as f:
    f.write('{"step": 4, "lo')  # killed in the middle of a line
  m = runs.Metrics(str(tmp_path), 2)
  m.write(3, loss=9.0)
  m.close()
  rows = runs.read_metrics(str(tmp_path))
  assert [(r['step'], r['loss']) for r in rows] == [
    (1, 0.5),
    (2, 1.0),
    (3, 9.0),
  ]
  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  assert [json.loads(line)['step'] for line in lines] == [1, 2, 3]
  assert list((tmp_path / 'tensorboard').iterdir())


def test_text_that_changed_is_refused(tmp_path):
  def manifest(sha, tokenizer='bytes'):
    splits = {'train': {'tokens_sha256': sha}, 'valid': {'tokens_sha256': 'v'}}
    about = {'splits': splits, 'source': 'stdlib', 'python': '3.11.7'}
    return about | {'tokenizer': {'name': tokenizer}}

  runs.same_text(str(tmp_path), manifest('a'))
  runs.same_text(str(tmp_path), manifest('a'))
  with pytest.raises(
    ValueError, match='the train text of stdlib is not the one'
  ):
    runs.same_text(str(tmp_path), manifest('b'))
  with pytest.raises(
    ValueError, match='of bytes, but stdlib holds those of b8'
  ):
    runs.same_text(str(tmp_path), manifest('a', 'b8'))


@pytest.fixture
def bucket():
  """gs:// in memory, in place of what would need a network."""
  import fsspec
  from fsspec.implementations.memory import MemoryFileSystem

  known = sys.modules['fsspec.registry']._registry
  for name in ('gs', 'gcs'):
    fsspec.register_implementation(name, MemoryFileSystem, clobber=True)
  yield 'gs://bucket/run'
  MemoryFileSystem.store.clear()
  MemoryFileSystem.pseudo_dirs[:] = ['']
  for name in ('gs', 'gcs'):
    known.pop(name, None)


def test_the_folder_of_a_run_may_be_in_an_object_store(bucket):
  """All but checkpoints: Orbax has a client of its own for these."""
  c = config.override(config.base(), {})
  with runs.claim(bucket, c):
    pass
  assert runs.load_config(bucket).to_dict() == c.to_dict()
  for first, last in ((1, 4), (3, 6)):  # killed after 3, resumed after 2
    metrics = runs.Metrics(bucket, first - 1)
    for step in range(first, last):
      metrics.write(step, loss=1.0 / step)
    metrics.close()
  assert [row['step'] for row in runs.read_metrics(bucket)] == [
    1,
    2,
    3,
    4,
    5,
  ]
  assert not pathlib.Path('gs:').exists()
