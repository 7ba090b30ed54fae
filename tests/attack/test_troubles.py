"""Disks that fail, fill and vanish: the run knows, and loses nothing."""

import errno
import os
import pathlib
import subprocess
import sys
import time

import pytest

from extrapolation import runs, train
from extrapolation.runs import checkpoint_reader, commit, leases, tensorboard
from tests.test_checkpoint import LIKE, restore, write


@pytest.mark.parametrize('number', [errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize('name', ['COMMIT', 'd', 'manifest.ocdbt'])
def test_a_passing_error_is_no_damage(tmp_path, monkeypatch, number, name):
  """The newest is not passed over, and never removed."""
  write(tmp_path)
  kind = type(commit.epath.Path(tmp_path))

  def failing(method: str):
    real = getattr(kind, method)

    def wrapped(self, *args):
      step, *rest = self.parts[self.parts.index('checkpoints') + 1 :]
      if step == '3' and name in rest:
        raise OSError(number, os.strerror(number))
      return real(self, *args)

    return wrapped

  with monkeypatch.context() as m:
    for method in ('open', 'read_bytes'):
      m.setattr(kind, method, failing(method))
    with pytest.raises(
      OSError, match='step 3.*cannot be read now.*nothing was'
    ):
      restore(tmp_path)
  assert restore(tmp_path)[0] == 3


def test_an_error_of_the_library_after_the_checks_is_no_damage(
  tmp_path, monkeypatch
):
  write(tmp_path)

  def broken(self, *args):
    raise ValueError('INTERNAL: Input/output error')

  with monkeypatch.context() as m:
    m.setattr(checkpoint_reader.CheckpointReader, '_read', broken)
    with pytest.raises(OSError, match='step 3.*cannot be read now: INTERNAL'):
      restore(tmp_path)
  assert restore(tmp_path)[0] == 3


def test_what_is_damaged_is_set_aside_and_not_deleted(trained_copy, capsys):
  e = runs.load_config(str(trained_copy))
  folder = trained_copy / 'checkpoints'
  path = folder / '6' / 'params' / '_METADATA'
  hurt = path.read_bytes()[:-1]
  path.write_bytes(hurt)
  train.train(e, str(trained_copy))
  said = capsys.readouterr().err
  assert 'step 6 is damaged (_METADATA fails its checksum)' in said
  (aside,) = folder.glob('damaged-6-*')
  assert aside.name in said
  assert (aside / 'params' / '_METADATA').read_bytes() == hurt
  assert runs.load(str(trained_copy)).step == 6


def test_a_reader_beside_one_that_drops_old_steps(
  tmp_path, monkeypatch, capsys
):
  """It lists anew: never damage, and no word of deleting anything."""
  write(tmp_path, steps=(1, 2))
  real, dropped = commit.check, []

  def drops(path, *about):
    if len(dropped) < 4:  # whatever is being read goes, a newer one comes
      steps = sorted(int(p.name) for p in (tmp_path / 'checkpoints').iterdir())
      dropped.append(steps[-1])
      write(tmp_path, steps=(steps[-1] + 1,), keep=1)
      assert not path.exists()
    real(path, *about)

  monkeypatch.setattr(commit, 'check', drops)
  assert restore(tmp_path)[0] == 6 and len(dropped) == 4
  assert not capsys.readouterr().err


def test_a_board_that_cannot_be_written_does_not_stop_the_run(
  tiny, tmp_path, monkeypatch, capsys
):
  from tensorboardX import record_writer

  monkeypatch.setattr(
    record_writer,
    'open_file',
    lambda path: pathlib.Path('/dev/full').open('wb'),  # noqa: SIM115
  )
  train.train(tiny, str(tmp_path / 'run'))
  said = capsys.readouterr().err
  assert said.count('TensorBoard gets no more events') == 1
  assert 'No space left' in said and 'the run goes on' in said
  assert len(runs.read_metrics(str(tmp_path / 'run'))) == 6


def test_a_board_that_breaks_half_way(tmp_path, monkeypatch, capsys):
  mirror = tensorboard.Mirror(str(tmp_path / 'board'), 0)
  mirror.write(1, dict(loss=1.0))
  full = pathlib.Path('/dev/full').open('wb')  # noqa: SIM115
  monkeypatch.setattr(mirror.writer._py_recordio_writer, '_writer', full)
  for step in range(2, 40):  # a queue would have been full by now
    mirror.write(step, dict(loss=1.0))
  mirror.close()
  assert capsys.readouterr().err.count('TensorBoard gets no more events') == 1


def test_a_clock_that_is_set_back_harms_no_board(tmp_path, monkeypatch, capsys):
  real, hours = time.time, iter(range(10_000))
  monkeypatch.setattr(time, 'time', lambda: real() - 3600 * next(hours))
  mirror = tensorboard.Mirror(str(tmp_path / 'board'), 0)
  for step in range(40):
    mirror.write(step, dict(loss=1.0))
  mirror.close()
  assert not capsys.readouterr().err
  (path,) = (tmp_path / 'board').iterdir()
  assert path.read_bytes().count(b'loss') == 40


def test_a_board_in_the_way_of_a_file(tiny, tmp_path, capsys):
  (tmp_path / 'run').mkdir()
  runs.claim(str(tmp_path / 'run'), tiny).close()
  (tmp_path / 'run' / 'tensorboard').write_text('mine')
  train.train(tiny, str(tmp_path / 'run'))
  assert 'TensorBoard gets no more events' in capsys.readouterr().err
  assert (tmp_path / 'run' / 'tensorboard').read_text() == 'mine'


def test_a_folder_removed_while_training_is_not_made_anew(
  tiny, tmp_path, monkeypatch
):
  run = tmp_path / 'run'
  write = runs.Metrics.write

  def removes(self, step, **values):
    if step == 3:
      run.rename(tmp_path / 'bin')
    write(self, step, **values)

  monkeypatch.setattr(runs.Metrics, 'write', removes)
  with pytest.raises(
    OSError, match=r'(lost the claim|cannot save).*folder has been removed'
  ):
    train.train(tiny, str(run))
  assert not run.exists()
  monkeypatch.undo()
  train.train(tiny, str(run))


FULL = """
import resource, sys
from extrapolation.runs import leases
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
try:
  leases.take(sys.argv[1])
except OSError as e:
  print(e)
"""


def test_a_claim_on_a_full_disk_costs_the_next_one_nothing(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', FULL, str(tmp_path)], capture_output=True, text=True
  )
  assert 'No space left' in done.stdout or 'too large' in done.stdout
  start = time.monotonic()
  leases.take(tmp_path).close()
  assert time.monotonic() - start < 1


@pytest.mark.parametrize(
  'text',
  [
    '[1]',
    '{"who": 3}',
    '{"seconds": "x", "kernel": [], "who": 1}',
    '\0\0',
    '9',
  ],
)
def test_a_claim_of_nonsense_is_watched_and_no_error(tmp_path, text):
  (tmp_path / '.claims').mkdir()
  for name, content in (('1', text), ('²', ''), ('x', '')):
    (tmp_path / '.claims' / name).write_text(content)
  with pytest.raises(leases.Held, match='wrote nothing'):
    leases.take(tmp_path)


def test_a_claim_is_not_read_through_a_link_or_a_pipe(tmp_path):
  (tmp_path / '.claims').mkdir()
  (tmp_path / '.claims' / '1').symlink_to('/etc/hostname')
  with pytest.raises(OSError, match='symbolic links'):
    leases.take(tmp_path)
  (tmp_path / '.claims' / '1').unlink()
  os.mkfifo(tmp_path / '.claims' / '1')
  with pytest.raises(leases.Held):
    leases.take(tmp_path)


@pytest.mark.parametrize('bad', [b'\xff\xfe', b'{"step": 2}x', b'[]', b'{}'])
def test_a_bad_line_in_the_middle_of_the_metrics_is_named(tmp_path, bad):
  metrics = runs.Metrics(str(tmp_path), 0)
  for step in range(1, 6):
    metrics.write(step, loss=1.0)
  metrics.close()
  path = tmp_path / 'metrics.jsonl'
  lines = path.read_bytes().splitlines(keepends=True)
  hurt = b''.join([*lines[:2], bad + b'\n', *lines[3:]])
  path.write_bytes(hurt)
  for read in (runs.read_metrics, lambda folder: runs.Metrics(folder, 4)):
    with pytest.raises(ValueError, match=r'metrics\.jsonl, line 3,'):
      read(str(tmp_path))
  assert path.read_bytes() == hurt  # and nothing is lost


def test_a_cut_last_line_alone_is_dropped(tmp_path):
  metrics = runs.Metrics(str(tmp_path), 0)
  for step in range(1, 4):
    metrics.write(step, loss=1.0)
  metrics.close()
  path = tmp_path / 'metrics.jsonl'
  whole = path.read_bytes()
  for tail in (b'{"step": 4, "lo', b'\0' * 400, b'\xff'):
    path.write_bytes(whole + tail)
    assert [r['step'] for r in runs.read_metrics(str(tmp_path))] == [1, 2, 3]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
  from extrapolation.output import files

  path = tmp_path / 'a.json'
  with files.atomic(path) as one, files.atomic(path) as other:
    assert one != other
    one.write_text('1')
    other.write_text('2')
  assert path.read_text() == '1'
  assert [p.name for p in tmp_path.iterdir()] == ['a.json']
  assert LIKE
