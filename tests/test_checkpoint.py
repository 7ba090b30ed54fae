"""Checkpoints: whole or absent, and never believed when damaged."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from extrapolation.runs import arrays, commit
from extrapolation.runs.checkpoint import Checkpoints
from extrapolation.runs.checkpoint_reader import CheckpointReader


def tree(seed: int):
  a, b = jax.random.normal(jax.random.key(seed), (2, 40, 30))
  return {'layers': {0: {'w': a}, 1: {'w': b.astype(jnp.bfloat16)}},
          'count': jnp.asarray(seed, jnp.int32)}  # fmt: skip


LIKE = {'params': jax.eval_shape(lambda: tree(0))}


def write(path, steps=(1, 2, 3), keep=3):
  checkpoints = Checkpoints(str(path), keep)
  for s in steps:
    checkpoints.save(s, {'params': tree(s), 'opt': tree(-s)}, {'next': s})
  checkpoints.close()


def restore(path, like=LIKE, step=None):
  return CheckpointReader(str(path)).restore(like, step)


def warnings(capsys) -> list[str]:
  """The warnings since the last look."""
  lines = capsys.readouterr().err.splitlines()
  return [line for line in lines if line.startswith('warning: ')]


def largest(folder: pathlib.Path) -> pathlib.Path:
  files = [p for p in (folder / 'params').rglob('*') if p.is_file()]
  return max(files, key=lambda p: p.stat().st_size)


def test_what_is_saved_comes_back_bit_for_bit(tmp_path, capsys):
  write(tmp_path)
  step, items, meta = restore(tmp_path)
  assert step == 3 and meta['next'] == 3 and not warnings(capsys)
  jax.tree.map(np.testing.assert_array_equal, items['params'], tree(3))
  dtypes = jax.tree.map(lambda x: x.dtype, items['params'])
  assert dtypes == jax.tree.map(lambda x: x.dtype, tree(3))
  step, items, _ = restore(tmp_path, step=1)
  assert step == 1
  jax.tree.map(np.testing.assert_array_equal, items['params'], tree(1))


def test_a_relative_folder_does(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write('run')
  assert restore('run')[0] == 3
  assert (tmp_path / 'run' / 'checkpoints' / '3').is_dir()


def test_the_oldest_are_dropped(tmp_path):
  write(tmp_path, steps=(1, 2, 3, 4), keep=2)
  assert Checkpoints(str(tmp_path)).steps() == [3, 4]


def test_saved_arrays_may_be_donated_at_once(tmp_path, capsys):
  checkpoints = Checkpoints(str(tmp_path))
  state = tree(5)
  checkpoints.save(1, {'params': state}, {})
  change = jax.jit(lambda t: jax.tree.map(lambda x: x * 0, t), donate_argnums=0)
  jax.block_until_ready(change(state))
  checkpoints.close()
  _, items, _ = restore(tmp_path)
  assert not warnings(capsys)
  jax.tree.map(np.testing.assert_array_equal, items['params'], tree(5))


@pytest.mark.parametrize('how', ['truncate', 'flip', 'empty', 'delete', 'meta'])
def test_a_damaged_newest_falls_back_and_says_so(tmp_path, how, capsys):
  write(tmp_path)
  folder = tmp_path / 'checkpoints' / '3'
  path = largest(folder)
  content = bytearray(path.read_bytes())
  if how == 'truncate':
    path.write_bytes(content[: len(content) // 2])
  elif how == 'flip':
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
  elif how == 'empty':
    path.write_bytes(b'')
  elif how == 'delete':
    path.unlink()
  else:
    (folder / 'COMMIT').write_text('{"step": 3, "arr')
  step, items, _ = restore(tmp_path)
  assert step == 2
  said = warnings(capsys)
  assert len(said) == 1 and 'step 3 is damaged' in said[0]
  jax.tree.map(np.testing.assert_array_equal, items['params'], tree(2))


def test_all_damaged_is_an_error_and_not_a_fresh_start(tmp_path):
  write(tmp_path)
  for s in (1, 2, 3):
    largest(tmp_path / 'checkpoints' / str(s)).write_bytes(b'x')
  with pytest.raises(OSError, match='every checkpoint.*damaged: steps 1, 2, 3'):
    restore(tmp_path)


def test_a_bare_step_folder_is_no_checkpoint(tmp_path):
  write(tmp_path)
  (tmp_path / 'checkpoints' / '9').mkdir()
  assert restore(tmp_path)[0] == 3


def test_steps_after_the_sound_one_can_be_saved_again(tmp_path, capsys):
  write(tmp_path)
  (tmp_path / 'checkpoints' / '9').mkdir()
  largest(tmp_path / 'checkpoints' / '3').write_bytes(b'x')
  checkpoints = Checkpoints(str(tmp_path))
  step, *_ = checkpoints.restore(LIKE)
  assert len(warnings(capsys)) == 1
  checkpoints.set_aside_after(step)
  assert 'is set aside as damaged-3-' in warnings(capsys)[0]
  checkpoints.save(3, {'params': tree(7)}, {})
  checkpoints.close()
  step, items, _ = restore(tmp_path)
  assert step == 3 and not warnings(capsys)
  jax.tree.map(np.testing.assert_array_equal, items['params'], tree(7))


@pytest.mark.parametrize(
  'change, message',
  [
    (lambda t: {**t, 'count': jnp.zeros(())}, 'params.count is int32.*float32'),
    (lambda t: {**t, 'more': jnp.zeros(())}, 'params.more is absent there'),
    (lambda t: {'layers': t['layers']}, 'params.count is .*absent here'),
    (
      lambda t: {**t, 'count': jnp.zeros(3, jnp.int32)},
      r'int32\[\].*int32\[3\]',
    ),
  ],
)
def test_other_arrays_are_refused_by_name(tmp_path, change, message):
  write(tmp_path)
  like = {'params': jax.eval_shape(lambda: change(tree(0)))}
  with pytest.raises(ValueError, match=message):
    restore(tmp_path, like)


def test_a_step_that_is_not_there(tmp_path):
  write(tmp_path)
  with pytest.raises(ValueError, match='no checkpoint of step 7.*1, 2, 3'):
    restore(tmp_path, step=7)


def test_no_checkpoints_at_all(tmp_path):
  assert restore(tmp_path) is None and not list(tmp_path.iterdir())
  assert Checkpoints(str(tmp_path)).restore(LIKE) is None


def test_some_are_kept_for_good(tmp_path):
  checkpoints = Checkpoints(str(tmp_path), keep=1, keep_every=4)
  for s in range(1, 10):
    checkpoints.save(s, {'params': tree(s)}, {})
  checkpoints.close()
  assert checkpoints.steps() == [4, 8, 9]


def test_cut_off_at_any_byte_it_is_never_believed(tmp_path, capsys):
  """COMMIT at every byte, arrays at many; the one before is read instead."""
  write(tmp_path, steps=(1, 2))
  folder = tmp_path / 'checkpoints' / '2'
  rng = np.random.default_rng(0)
  file = folder / 'COMMIT'
  content = file.read_bytes()
  for cut in range(len(content)):
    file.write_bytes(content[:cut])
    with pytest.raises((ValueError, KeyError, OSError)):
      commit.read(epath.Path(folder))
  file.write_bytes(content)
  for path in (file, largest(folder)):
    content = path.read_bytes()
    for cut in {0, 1, len(content) - 1, *rng.integers(0, len(content), 20)}:
      path.write_bytes(content[:cut])
      step, items, _ = restore(tmp_path)
      assert step == 1, (path.name, cut)
      assert 'step 2 is damaged' in warnings(capsys)[0]
    path.write_bytes(content)
  jax.tree.map(np.testing.assert_array_equal, items['params'], tree(1))
  assert restore(tmp_path)[0] == 2


def test_every_file_counts(tmp_path, capsys):
  write(tmp_path, steps=(1, 2))
  folder = tmp_path / 'checkpoints' / '2' / 'params'
  files = [p for p in folder.rglob('*') if p.is_file()]
  assert len(files) > 3
  for path in files:
    content = path.read_bytes()
    path.unlink()
    step, *_ = restore(tmp_path)
    assert step == 1 and 'step 2 is damaged' in warnings(capsys)[0], path
    path.write_bytes(content)
  assert restore(tmp_path)[0] == 2


def test_a_number_altered_in_commit_is_noticed(tmp_path, capsys):
  write(tmp_path, steps=(1, 2))
  path = tmp_path / 'checkpoints' / '2' / 'COMMIT'
  path.write_text(path.read_text().replace('"next": 2', '"next": 3'))
  step, *_ = restore(tmp_path)
  assert step == 1 and 'COMMIT fails its checksum' in warnings(capsys)[0]


def test_nothing_older_goes_before_the_newer_is_verified(tmp_path, monkeypatch):
  write(tmp_path, steps=(1,), keep=1)

  def unreadable(folder):
    raise OSError('not what was written')

  checkpoints = Checkpoints(str(tmp_path), keep=1)
  with monkeypatch.context() as m:
    m.setattr(commit, 'read', unreadable)
    checkpoints.save(2, {'params': tree(2)}, {})
    with pytest.raises(OSError, match='last good checkpoint: step 1'):
      checkpoints.wait()
  assert restore(tmp_path)[0] == 1
  assert [p.name for p in (tmp_path / 'checkpoints').iterdir()] == ['1']


def test_what_a_disk_garbles_is_noticed_at_once(tmp_path, monkeypatch):
  real = arrays.zlib.crc32
  sizes = []

  def forgetful(data):  # reads something else than it wrote
    sizes.append(len(data))
    return real(data) ^ (len(sizes) == 5)

  write(tmp_path, steps=(1,), keep=1)
  checkpoints = Checkpoints(str(tmp_path), keep=1)
  monkeypatch.setattr(arrays.zlib, 'crc32', forgetful)
  checkpoints.save(2, {'params': tree(2)}, {})
  with pytest.raises(OSError, match='is not what was written'):
    checkpoints.wait()
  monkeypatch.undo()
  assert restore(tmp_path)[0] == 1


def test_leftovers_of_a_killed_save_go_and_nothing_else(tmp_path):
  write(tmp_path, steps=(1, 2))
  folder = tmp_path / 'checkpoints'
  (folder / '2' / 'COMMIT').unlink()
  (folder / '7').mkdir()
  (folder / '7' / 'notes.txt').write_text('mine')
  (folder / '8' / 'mine').mkdir(parents=True)
  (folder / '8' / 'mine' / 'notes.txt').write_text('mine')
  Checkpoints(str(tmp_path)).close()
  assert sorted(p.name for p in folder.iterdir()) == ['1', '7', '8']
  assert (folder / '8' / 'mine' / 'notes.txt').exists()
  assert (folder / '7' / 'notes.txt').read_text() == 'mine'


def test_checkpoints_of_the_former_format_are_named_and_kept(tmp_path):
  folder = tmp_path / 'checkpoints' / '5'
  folder.mkdir(parents=True)
  (folder / '_CHECKPOINT_METADATA').write_text('{}')
  with pytest.raises(ValueError, match='of an older version'):
    Checkpoints(str(tmp_path)).restore(LIKE)
  assert (folder / '_CHECKPOINT_METADATA').exists()


FULL = """
import os, resource, sys
from tests.test_checkpoint import *
write(sys.argv[1], steps=(1, 2))
checkpoints = Checkpoints(sys.argv[1])
# No file may grow beyond this: a disk that is full in the middle of a save.
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
  checkpoints.save(3, {'params': tree(3)}, {})
  checkpoints.wait()
except OSError as e:
  print(e)
os._exit(0)
"""


def test_a_save_on_a_full_disk_names_the_last_good_one(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', FULL, str(tmp_path)],
    capture_output=True,
    text=True,
    check=True,
    cwd=pathlib.Path(__file__).parent.parent,
    env=os.environ | {'JAX_ENABLE_COMPILATION_CACHE': 'false'},
  )
  assert 'File too large' in done.stdout, done.stderr
  assert done.stdout.strip().endswith('last good checkpoint: step 2')
  assert restore(tmp_path)[0] == 2


def test_commit_is_readable_json(tmp_path):
  write(tmp_path)
  about = json.loads((tmp_path / 'checkpoints' / '3' / 'COMMIT').read_text())
  assert about['step'] == about['next'] == 3
  assert about['arrays']['params']['layers.1.w'] == ['bfloat16', [40, 30]]
