"""prediction.json: round trip, hash, and what is never replaced."""

import dataclasses
import json
import pathlib

import pytest

from extrapolation import config
from extrapolation.output import files, signed
from extrapolation.predict import predicted, record, registration
from extrapolation.runs import sweep_grid
from tests.predict.small import law


@pytest.fixture(scope='module')
def e() -> config.Experiment:
  c = config.base()
  c.model.update(H=2, N=2)
  c.train.update(T=16)
  c.eval.update(lengths=(8, 16, 32, 64))
  c.sweep.update(rpe='alibi,rotary,type1@forget,kerple_log', seeds=(0, 1))
  return config.override(c, {})


@pytest.fixture(scope='module')
def made(e) -> record.Record:
  return record.make(e, law(), predicted.of(e, law()))


def change(folder: pathlib.Path, **values) -> None:
  path = folder / record.NAME
  files.write_json(path, json.loads(path.read_text()) | values)


def test_it_is_read_as_it_was_written(made, tmp_path):
  assert record.write(tmp_path / 'new', made) == made
  read = record.read(tmp_path / 'new')
  assert read.body == made.body and len(read.sha256) == 64
  assert [one.encoding for one in read.predicted] == [
    'alibi', 'rotary', 'type1@forget', 'kerple_log',
  ]  # fmt: skip
  assert [at.length for at in read.predicted[0].lengths] == [32, 64]
  assert read.predicted[2].order == 'tight' and not read.predicted[2].lengths
  body = json.loads((tmp_path / 'new' / record.NAME).read_text())
  assert body['sha256'] == record.sha256(body)
  assert record.sha256(dict(reversed(body.items()))) == body['sha256']


@pytest.mark.parametrize(
  'values',
  [
    dict(time='2020-01-01T00:00:00+00:00'),
    dict(predicted=[]),
    dict(sha256='0' * 64),
    dict(more=1),
  ],
)
def test_what_was_changed_is_refused_in_one_line(made, tmp_path, values):
  record.write(tmp_path, made)
  change(tmp_path, **values)
  with pytest.raises(signed.Damaged, match='was changed after it was') as e:
    record.read(tmp_path)
  assert '\n' not in str(e.value)
  with pytest.raises(signed.Damaged):
    record.write(tmp_path, made)


def test_a_hash_that_fits_makes_no_prediction(tmp_path):
  for body in (dict(format=1), dict(format=7), dict(format=1, predicted=3)):
    files.write_json(
      tmp_path / record.NAME, body | dict(sha256=record.sha256(body))
    )
    with pytest.raises(signed.Damaged, match='is no prediction'):
      record.read(tmp_path)


def test_the_same_stays_and_another_is_refused(made, tmp_path):
  record.write(tmp_path, made)
  later = dataclasses.replace(made, time='2100-01-01T00:00:00+00:00')
  assert record.write(tmp_path, later).time == made.time
  other = dataclasses.replace(made, predicted=made.predicted[:1])
  with pytest.raises(ValueError, match=r'\(predicted differ\).*another --out'):
    record.write(tmp_path, other)
  assert record.read(tmp_path).body == made.body


def test_after_training_it_is_too_late(made, e, tmp_path, capsys):
  (tmp_path / 'alibi-s0').mkdir()
  (tmp_path / 'alibi-s0' / 'metrics.jsonl').write_text('')
  with pytest.raises(ValueError, match=r'written after training.*\(alibi-s0\)'):
    record.write(tmp_path, made)
  registration.register(str(tmp_path), e)
  assert 'no prediction: written after training' in capsys.readouterr().out
  assert not (tmp_path / record.NAME).exists()


def test_a_sweep_registers_once(e, tmp_path, capsys):
  registration.register(str(tmp_path), e)
  said = capsys.readouterr().out
  there = record.read(tmp_path)
  assert 'predicted 4 encodings' in said and there.sha256 in said
  (tmp_path / 'alibi-s0').mkdir()
  (tmp_path / 'alibi-s0' / 'metrics.jsonl').write_text('')
  registration.register(str(tmp_path), e)  # it was there before
  assert record.read(tmp_path).body == there.body
  assert capsys.readouterr().out == ''
  more = config.override(e, {'sweep.rpe': 'alibi,none'})
  registration.register(str(tmp_path), more)
  assert 'says nothing of none' in capsys.readouterr().out
  change(tmp_path, time='')
  with pytest.raises(signed.Damaged):
    registration.register(str(tmp_path), e)


def test_what_cannot_be_predicted_does_not_stop_a_sweep(e, tmp_path, capsys):
  last = config.override(e, {'eval.protocol': 'last:4'})
  registration.register(str(tmp_path), last)
  assert 'no prediction for eval.protocol' in capsys.readouterr().out
  assert list(tmp_path.iterdir()) == []


def test_every_setting_of_a_grid_is_predicted(e):
  grid = config.override(
    e, {'sweep.rpe': 'alibi', 'sweep.grid': 'train.T=16,32'}
  )
  of = predicted.of(grid, law())
  assert [(x.encoding, x.train_length) for x in of] == [
    ('alibi T=16', 16), ('alibi T=32', 32),
  ]  # fmt: skip
  assert len(of[0].lengths) == 2 and len(of[1].lengths) == 1
  labels = {sweep_grid.label(one) for _, one in sweep_grid.experiments(grid)}
  assert labels == {x.encoding for x in of}
