"""The life of a run whose encoding is a file of the user's own."""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import (
  cli,
  config,
  evaluate,
  generate,
  model,
  report,
  rpe,
  runs,
  sweep,
  train,
)
from extrapolation.output import signed, table
from extrapolation.parallel import multihost
from extrapolation.receptive_field import __main__ as receptive_field
from extrapolation.report import __main__ as report_command
from extrapolation.rpe import base, user_file
from extrapolation.theory import __main__ as theory
from tests import conftest, own_encoding

EDITED = own_encoding.GOOD.replace('x**2', 'x')


def forget():
  """As a new process, to which nothing was named."""
  user_file._loaded.clear()


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """The folder of a run with an encoding of the user's own."""
  folder = tmp_path_factory.mktemp('own')
  path = own_encoding.write(folder / 'mine.py')
  rpe.load(path)
  tiny = conftest.tiny_config(folder)
  e = config.override(tiny, {'model.rpe': f'{path}:width=9'})
  train.train(e, str(folder / 'run'))
  forget()
  return folder


@pytest.fixture
def run(made, tmp_path):
  """A copy of that run on another disk, and the file at another place."""
  own_encoding.write(tmp_path / 'elsewhere' / 'mine.py')
  return shutil.copytree(made / 'run', tmp_path / 'run')


def test_a_run_keeps_the_source_and_says_what_it_was(run, made):
  kept = (run / 'encoding' / 'mine.py').read_text()
  assert kept == own_encoding.GOOD
  e = runs.load_config(str(run))
  assert e.model.rpe == str(made / 'mine.py')
  assert e.model.label == 'mine.py:width=9'
  assert len(e.model.rpe_file['sha256']) == 64
  assert json.loads((run / 'rpe.json').read_text())['name'] == 'mine.py'


def test_the_same_file_elsewhere_resumes_it(run, tmp_path):
  e = runs.load_config(str(run))
  path = str(tmp_path / 'elsewhere' / 'mine.py')
  rpe.load(path)
  moved = config.override(e, {'model.rpe': f'{path}:width=9'})
  assert runs.run_id(moved) == runs.run_id(e)
  assert train.train(moved, str(run)) == {}  # all steps are done
  assert runs.load_config(str(run)).model.rpe == path


def test_another_comment_resumes_it_and_is_said(run, tmp_path, capsys):
  path = own_encoding.write(
    tmp_path / 'elsewhere' / 'mine.py', own_encoding.GOOD + '# a comment\n'
  )
  rpe.load(path)
  e = runs.load_config(str(run))
  train.train(config.override(e, {'model.rpe': f'{path}:width=9'}), str(run))
  assert 'mine.py is not the file that the run began with; its values are' in (
    capsys.readouterr().out
  )
  kept = (run / 'encoding' / 'mine.py').read_text()
  assert kept == own_encoding.GOOD


@pytest.mark.parametrize(
  'name, text, said',
  [
    ('mine.py', EDITED, r'another formula of mine\.py .*source in encoding/'),
    ('other.py', own_encoding.GOOD, r"model\.rpe: 'mine\.py' -> 'other\.py'"),
  ],
)
def test_another_formula_or_name_is_refused(run, tmp_path, name, text, said):
  path = own_encoding.write(tmp_path / 'b' / name, text)
  rpe.load(path)
  e = config.override(
    runs.load_config(str(run)), {'model.rpe': f'{path}:width=9'}
  )
  with pytest.raises(ValueError, match=said):
    train.train(e, str(run))


READERS = {
  'evaluate': (evaluate.main, ['--lengths=8']),
  'generate': (generate.main, ['--tokens=2', '--prompt=a']),
  'receptive_field': (
    receptive_field.main,
    ['--length=16', '--tokens=64', '--resamples=10'],
  ),
  'theory': (theory.main, ['--eps=0.1', '--horizon=64']),
}


def said(capsys, main, *argv):
  code = 0
  try:
    cli.run(main, list(argv))
  except SystemExit as e:
    code = e.code
  out, err = capsys.readouterr()
  return code, out, err


@pytest.mark.parametrize('reader', READERS)
def test_a_reader_runs_the_file_that_it_is_given_and_no_other(
  reader, run, tmp_path, capsys
):
  main, argv = READERS[reader]
  argv = [f'--workdir={run}', *argv]
  trap = own_encoding.write(run / 'encoding' / 'mine.py', own_encoding.TRAP)
  config_json = signed.read(run / 'config.json')
  config_json['model']['rpe'] = trap  # as a stranger would have it
  signed.write(run / 'config.json', config_json)
  code, _, err = said(capsys, main, *argv)
  assert code == 2 and f"encoding '{trap}' is a file" in err.replace(
    "'mine.py'", f"'{trap}'"
  )
  assert f'read {trap}, the copy that the run keeps, then add --rpe=' in err
  assert err.count('\n') == 2  # and where to see more
  assert not own_encoding.ran(tmp_path)
  code, _, err = said(capsys, main, *argv, f'--rpe={trap}')  # who asks for it
  assert code == 2 and 'another formula of mine.py' in err
  assert len(own_encoding.ran(tmp_path)) == 1
  if main is not receptive_field.main:  # 20 s
    forget()
    good = tmp_path / 'elsewhere' / 'mine.py'
    code, _, err = said(capsys, main, *argv, f'--rpe={good}')
    assert code == 0, err


def test_a_sweep_has_it_beside_others_and_its_report_needs_no_code(
  tiny, tmp_path, capsys
):
  path = own_encoding.write(tmp_path / 'a' / 'mine.py')
  rpe.load(path)
  e = config.override(
    tiny,
    {'sweep.rpe': f'alibi,{path}:width=3', 'eval.lengths': '8,16',
     'train.steps': '2', 'train.valid_every': '0'},
  )  # fmt: skip
  folder = tmp_path / 'sweep'
  sweep.sweep(e, str(folder), make_report=False)
  names = {'alibi-s0', 'mine.py-width=3-s0'}
  assert {p.parent.name for p in folder.glob('*/config.json')} == names
  labels = {'alibi', 'mine.py:width=3'}

  forget()
  moved = shutil.move(folder, tmp_path / 'moved')
  own_encoding.write(pathlib.Path(path), own_encoding.TRAP)
  for kept in moved.glob('*/encoding/mine.py'):
    own_encoding.write(kept, own_encoding.TRAP)
  report.write(str(moved))
  assert not own_encoding.ran(tmp_path)
  assert {r['rpe'] for r in table.read(moved / 'sweep.csv')} == labels
  page = (moved / 'report.html').read_text()
  assert 'of which nothing is run' in page and 'Missing' not in page

  good = own_encoding.write(tmp_path / 'b' / 'mine.py')
  code, _, err = said(
    capsys, report_command.main, f'--workdir={moved}', f'--rpe={good}'
  )
  assert code == 0, err
  assert 'of which nothing is run' not in (moved / 'report.html').read_text()


def test_two_files_of_one_name_are_refused_in_a_sweep(tmp_path):
  paths = [
    own_encoding.write(tmp_path / 'a' / 'mine.py'),
    own_encoding.write(tmp_path / 'b' / 'mine.py', EDITED),
  ]
  with pytest.raises(ValueError, match='rename one of the files'):
    config.load('demo', {'sweep.rpe': ','.join(paths)})


def test_a_sweep_over_its_hyperparameters(tmp_path, tiny):
  path = own_encoding.write(tmp_path / 'mine.py')
  rpe.load(path)
  grid = 'model.rpe_args.width=3,4'
  e = config.override(tiny, {'sweep.rpe': path, 'sweep.grid': grid})
  from extrapolation.runs import sweep_grid

  assert [name for name, _ in sweep_grid.experiments(e)] == [
    'mine.py-width=3-s0', 'mine.py-width=4-s0'
  ]  # fmt: skip


def test_theory_reads_a_file_by_its_name(tmp_path, capsys):
  path = own_encoding.write(tmp_path / 'mine.py')
  argv = ['--heads=1', '--eps=0.1', '--horizon=64', '--format=json']
  code, out, err = said(capsys, theory.main, f'--rpe={path}:width=9', *argv)
  assert code == 0, err
  record = json.loads(out)
  assert record['subject'] == 'mine.py:width=9'
  assert record['heads'][0]['verdict'] == 'converges'
  text = own_encoding.GOOD.replace('x**2', 'y')
  own_encoding.write(tmp_path / 'mine.py', text)
  code, _, err = said(capsys, theory.main, f'--rpe={path}', *argv)
  assert code == 2 and "NameError: name 'y' is not defined (line 8)" in err
  for argv in (
    [],
    ['--all', '--rpe=alibi'],
    ['--all', '--formula=-t'],
    ['--workdir=a', '--rpe=alibi'],
  ):
    code, _, err = said(capsys, theory.main, *argv)
    assert code == 2 and err.startswith('error: ') and err.count('\n') < 3


def test_processes_must_have_the_same_file(tmp_path):
  about = []
  for text in (own_encoding.GOOD, EDITED):
    forget()
    path = own_encoding.write(tmp_path / 'mine.py', text)
    e = config.load('demo', {'model.rpe': path})
    about.append(dict(config=e.to_dict(), encodings=rpe.digests()))
  found = multihost._difference(*json.loads(json.dumps(about)))
  assert 'config.model.rpe_file.sha256' in found
  assert 'encodings.mine.py' in found


def test_a_model_takes_a_record(tiny):
  """As a notebook has it."""

  def bias(distance, params):
    return -jnp.sqrt(distance)[None] * jnp.ones((2, 1))

  record = base.RPE(bias=bias, source='a notebook')
  m = model.make(64, tiny.model, record)
  assert m.encoding is record
  table = m.bias(m.init(jax.random.key(0)), 9)
  np.testing.assert_allclose(table[0, 1], -np.sqrt(np.arange(9.0)), rtol=1e-6)
  flat, params = model.unrolled(m, m.init(jax.random.key(0)))
  assert flat.encoding is record and params
  with pytest.raises(ValueError, match=r'is float32\[2, 64\]; it must be flo'):
    model.make(64, config.override(tiny, {'model.H': '4'}).model, record)
