"""A run whose logits are more than q.k and a bias, by every command."""

import json
import shutil

import numpy as np
import pytest

from extrapolation import config, evaluate, generate, runs, train
from extrapolation.receptive_field import Settings, study
from extrapolation.theory import __main__ as theory
from tests.conftest import tiny_config


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run of `dape`, in the state in which training leaves it."""
  path = tmp_path_factory.mktemp('scored')
  changes = {'model.rpe': 'dape:width=4', 'train.steps': '2', 'model.N': '1'}
  e = config.override(tiny_config(path), changes)
  train.train(e, str(path / 'run'))
  return path / 'run'


LENGTHS = dict(lengths=(8,), tokens=24)


def test_it_is_scored_under_what_it_has_parameters_for(run):
  (own,) = evaluate.evaluate(str(run), **LENGTHS)
  assert own['rpe'] == 'dape:width=4'
  spec = 'dape:kernel=harmonic:width=4*log_n'
  (other,) = evaluate.evaluate(str(run), encoding=spec, **LENGTHS)
  assert other['rpe'] == (
    'dape:kernel=harmonic:width=4*log_n:train_length=16 (trained: dape:width=4)'
  )
  assert np.isfinite(other['ppl']) and other['ppl'] != own['ppl']


@pytest.mark.parametrize('spec', ['fire', 'dape:width=5', 'cope+dape:width=4'])
def test_it_is_not_under_what_it_has_none_for(run, spec):
  before = sorted(run.rglob('*'))
  with pytest.raises(ValueError) as error:
    evaluate.evaluate(str(run), encoding=spec)
  said = str(error.value)
  assert '\n' not in said and 'has no parameters layers/0/score/' in said
  assert sorted(run.rglob('*')) == before


def test_a_window_has_no_bound_and_none_is_certified(run, capsys):
  rows = evaluate.evaluate(str(run), window='4', **LENGTHS)
  assert {r['window_error'] for r in rows} == {None}
  assert 'logits are more than q.k and a bias' in capsys.readouterr().out
  for command in (evaluate.evaluate, generate.generate):
    with pytest.raises(ValueError, match='so nothing bounds what is left out'):
      command(str(run), window='certified:0.1')


def test_it_writes_text(run, capsys):
  generate.main([f'--workdir={run}', '--tokens=4', '--prompt=ab'])
  assert capsys.readouterr().out.startswith('ab')


def test_theory_judges_the_mix_that_it_learnt(run, capsys):
  about = json.loads((run / 'rpe.json').read_text())
  assert {*about['mixes']} == {'init', 'final'}
  (layer,) = about['mixes']['final']
  k = 2.0 ** np.asarray([-4.0, -8])
  W1, W2 = (np.asarray(layer[n]) for n in ('W1', 'W2'))
  a = W1[:, 2:] @ k
  kappa = k + W2 @ (a * np.where(a > 0, 0.01, 1))
  theory.main([f'--workdir={run}', '--format=json'])
  heads = json.loads(capsys.readouterr().out)['heads']
  for slope, head in zip(kappa, heads, strict=True):
    said = head['tightness']
    assert said['verdict'] == ('tight' if slope > 0 else 'not tight')
    assert f'kappa = {slope:.4}'[:12] in said['argument']


@pytest.mark.slow
def test_another_formula_is_found(run, tmp_path, monkeypatch):
  from extrapolation.rpe import dape
  from extrapolation.runs import run_folder

  copy = shutil.copytree(run, tmp_path / 'run')
  monkeypatch.setattr(dape, 'LEAK', 0.2)
  run_folder._same.cache_clear()
  with pytest.raises(ValueError, match='trained with another formula of dape'):
    runs.load(str(copy))
  run_folder._same.cache_clear()


@pytest.mark.slow
def test_its_fields_are_measured(run):
  settings = Settings(length=24, tokens=96, recomputed=2, resamples=8)
  made = study(str(run), settings)
  assert made.record['network']['attention_mass']['0.1']['n'] > 1
  assert {r['bound'] for r in made.record['windows']} == {None}
  assert all(r['seen'] > 0 for r in made.record['windows'])
  assert 'verdict' not in made.record['heads'][0]
