"""A run knows its encoding: an edited formula is found."""

import dataclasses
import json

import jax.numpy as jnp
import pytest

from extrapolation import config, evaluate, report, rpe, runs, sweep, train
from extrapolation.output import table
from extrapolation.rpe import fingerprint
from extrapolation.runs import run_folder, sweep_grid


def test_every_encoding_is_the_one_that_it_was(encoding):
  taken = json.loads(json.dumps(fingerprint.take(encoding)))
  assert fingerprint.same(encoding, taken)


def test_an_edit_of_any_formula_is_found(encoding):
  taken = fingerprint.take(encoding)

  def edited(distance, params):
    return encoding.bias(distance, params) - 0.01 * distance

  other = dataclasses.replace(encoding, bias=edited)
  assert not fingerprint.same(other, taken)
  for name in ('rotate', 'embed'):
    if name in encoding.beside_bias:
      was = getattr(encoding, name)

      def shifted(*args, was=was):
        *arrays, positions = args
        return was(*arrays, positions * 1.01)

      other = dataclasses.replace(encoding, **{name: shifted})
      assert not fingerprint.same(other, taken)


def test_other_parameters_are_another_encoding():
  two = rpe.get('kerple_log', 2)
  assert not fingerprint.same(rpe.get('alibi', 2), fingerprint.take(two))
  assert not fingerprint.same(two, {})


@pytest.fixture
def edit(monkeypatch):
  """Edits the formula of every encoding, as one does in its file."""

  def edit():
    real = rpe.get

    def get(name, H, /, **hyper):
      known = real(name, H, **hyper)
      return dataclasses.replace(
        known, bias=lambda t, p: known.bias(t, p) - jnp.log1p(t)
      )

    monkeypatch.setattr(rpe, 'get', get)
    run_folder._same.cache_clear()  # as a new process has it

  yield edit
  run_folder._same.cache_clear()  # of what held while it was edited


def test_after_an_edit_a_run_is_not_scored_nor_resumed(trained_copy, edit):
  e = runs.load_config(str(trained_copy))
  edit()
  for use in (evaluate.evaluate, lambda folder: train.train(e, folder)):
    with pytest.raises(ValueError, match='trained with another formula of k'):
      use(str(trained_copy))


def test_after_an_edit_a_sweep_and_a_report_do_not_mix(
  tiny, tmp_path, edit, capsys
):
  changes = {'sweep.rpe': 'kerple_log,none', 'sweep.seeds': '0'}
  e = config.override(tiny, changes)
  folder = tmp_path / 'sweep'
  sweep.sweep(e, str(folder), only=('kerple_log-s0',))
  edit()
  with pytest.raises(ValueError, match=r'1 of 2 runs failed:\n.*another form'):
    sweep.sweep(e, str(folder))
  assert {r['rpe'] for r in table.read(folder / 'sweep.csv')} == {'none'}
  capsys.readouterr()
  report.write(str(folder))
  said = capsys.readouterr()
  assert 'kerple_log-s0: damaged: ' in said.out
  assert 'another formula of kerple_log' in said.out


def test_runs_of_two_texts_are_in_no_table_together(tiny, tmp_path, capsys):
  changes = {'sweep.rpe': 'kerple_log,none', 'sweep.seeds': '0'}
  e = config.override(tiny, changes)
  folder = tmp_path / 'sweep'
  sweep.sweep(e, str(folder), only=('kerple_log-s0',))
  text = tmp_path / 'text' / 'train.txt'
  whole = text.read_text()
  text.write_text(whole + 'another line.\n')
  with pytest.raises(ValueError, match=r'1 of 2 runs failed:\n.*another text'):
    sweep.sweep(e, str(folder))
  assert not (folder / 'none-s0' / 'config.json').exists()  # before any compute
  # As a version that did not look would have left it:
  (folder / 'none-s0' / 'failed.json').unlink()
  other = dict(sweep_grid.experiments(e))['none-s0']
  train.train(other, str(folder / 'none-s0'))
  evaluate.evaluate(str(folder / 'none-s0'))
  capsys.readouterr()
  report.write(str(folder))
  assert (
    'none-s0: damaged: it was trained on another' in capsys.readouterr().out
  )
  assert {r['rpe'] for r in table.read(folder / 'sweep.csv')} == {'kerple_log'}
