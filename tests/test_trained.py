"""A run's folder holds what is needed to use the model, but not its text."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from extrapolation import data, evaluate, generate, runs, train
from extrapolation.data import load_tokenizer, tokenizers
from extrapolation.output import signed
from extrapolation.runs import run_folder


@pytest.fixture
def without_text(tiny, tmp_path) -> str:
  """A run whose text, and what was prepared of it, are gone."""
  train.train(tiny, str(tmp_path / 'run'))
  shutil.rmtree(tmp_path / 'text')
  shutil.rmtree(tmp_path / 'cache')
  return str(tmp_path / 'run')


def test_it_is_loaded_and_generates_without_its_text(without_text, capsys):
  r = runs.load(without_text, text=False)
  assert r.step == 6 and r.tokenizer.decode(r.tokenizer.encode('ab')) == 'ab'
  generate.main([f'--workdir={without_text}', '--tokens=5', '--prompt=ab'])
  assert capsys.readouterr().out.startswith('ab')


def test_its_text_is_read_once_when_it_is_asked_for(trained, monkeypatch):
  r, reads = runs.load(str(trained), text=False), []
  real = data.prepare

  def prepare(**kw):
    reads.append(kw)
    return real(**kw)

  monkeypatch.setattr(data, 'prepare', prepare)
  assert r.text() is r.text() and len(reads) == 1
  assert len(r.text().tokens('test')) > 200


def test_what_needs_the_text_says_that_it_is_gone(without_text):
  with pytest.raises(FileNotFoundError, match='no such file or folder'):
    evaluate.evaluate(without_text)
  with pytest.raises(FileNotFoundError):
    runs.load(without_text)
  with pytest.raises(FileNotFoundError):
    runs.load(without_text, text=False).text()


def test_a_folder_from_before_it_held_a_tokenizer_still_does(
  trained, trained_copy, capsys
):
  """Its text is read instead; to train on leaves the tokenizer there."""
  (trained_copy / 'tokenizer.json').unlink()
  workdir = str(trained_copy)
  old, new = (runs.load(str(f), text=False) for f in (workdir, trained))
  jax.tree.map(np.testing.assert_array_equal, old.params, new.params)
  assert old.tokenizer.V == new.tokenizer.V
  generate.main([f'--workdir={workdir}', '--tokens=2'])
  assert not (trained_copy / 'tokenizer.json').exists()
  train.train(runs.load_config(workdir), workdir)
  assert load_tokenizer(trained_copy / 'tokenizer.json').V == new.tokenizer.V


def test_keys_that_a_config_of_before_lacks_have_their_defaults(trained_copy):
  path = trained_copy / 'config.json'
  values = signed.read(path)
  del values['train']['keep_every'], values['model']['scan'], values['sweep']
  signed.write(path, values)
  assert runs.load_config(str(trained_copy)).train.keep_every == 0
  assert runs.load(str(trained_copy), text=False).step == 6


def test_a_tokenizer_that_was_learned_is_kept_whole(tmp_path):
  lines = [f'{i} squared is {i * i}.\n' for i in range(900)]
  learned = tokenizers.train('bpe', 280, lines)
  runs.write_tokenizer(str(tmp_path), learned)
  kept = run_folder.tokenizer(str(tmp_path))
  ids = learned.encode(''.join(lines))
  np.testing.assert_array_equal(kept.encode(''.join(lines)), ids)
  assert kept.decode(ids) == ''.join(lines)
  assert [p.name for p in tmp_path.iterdir()] == ['tokenizer.json']


def test_a_step_that_is_not_the_last_is_told(trained, tmp_path, capsys):
  part: pathlib.Path = shutil.copytree(trained, tmp_path / 'part')
  shutil.rmtree(part / 'checkpoints' / '6')
  assert runs.load(str(part), text=False).step == 4 == runs.newest(str(part))
  assert 'step 4 of 6 is read, the newest' in capsys.readouterr().out
  assert runs.load(str(trained), step=2, text=False).step == 2
  assert capsys.readouterr().out == ''  # it was asked for
  with pytest.raises(FileNotFoundError, match='no complete checkpoint'):
    shutil.rmtree(part / 'checkpoints')
    (part / 'checkpoints').mkdir()
    runs.newest(str(part))
