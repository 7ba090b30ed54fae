"""Recorded studies: what is read of them, and what is no study."""

import math
import pathlib
import shutil

import pytest

from extrapolation import config
from extrapolation.output import signed, table
from extrapolation.predict import fit, study
from extrapolation.predict.outcome import Outcome

COLUMNS = dict(seed=0, train_length=64)


def write(folder, rows) -> str:
  """The table of a study of configs/demo.py, whose name the folder has."""
  folder.mkdir(parents=True, exist_ok=True)
  table.write(folder / 'sweep.csv', [{**COLUMNS, **row} for row in rows])
  return str(folder)


def curve(rpe: str, *ppl: float, **more) -> list[dict]:
  lengths = (64, 128, 1024)
  return [
    dict(rpe=rpe, length=n, ppl=p, **more)
    for n, p in zip(lengths, ppl, strict=False)
  ]


def test_an_outcome_is_of_each_run_and_length_beyond_training(tmp_path):
  rows = [*curve('none', 10.0, 11.0, 12.1), *curve('none', 9.0, 9.0, seed=1)]
  rows += [*curve('rotary', 5.0, 9.0), *curve('none T=32', 1.0, 2.0)]
  one = study.read(write(tmp_path / 'demo', rows))
  assert [(x.seed, x.length) for x in one.outcomes] == [
    (0, 128), (0, 1024), (1, 128),
  ]  # fmt: skip
  first = one.outcomes[1]
  assert first.nats == pytest.approx(math.log(1.21)) and first.ratio == 16
  # (1 / n) sum_{i > L} (1 - L / i)
  F = sum(1 - 64 / i for i in range(65, 1025)) / 1024
  assert first.far_mass == pytest.approx(F, rel=1e-9)
  assert isinstance(first, Outcome) and first.corpus == 'sample'
  assert first.size == 'N=2 D=64 H=4 F=256' and not first.learned
  assert one.left_out['none T=32'] == 'its runs are a grid of settings'
  assert 'rotate' in one.left_out['rotary']
  about = one.about()
  assert (about['rows'], about['runs'], about['seeds']) == (3, 2, [0, 1])
  assert about['parameters'] == 2 * (4 * 64**2 + 2 * 64 * 256)
  assert about['train_tokens'] == 300 * 32 * 64


def test_a_run_in_two_studies_counts_once(tmp_path):
  rows = curve('none', 10.0, 11.0, run='abc')
  folders = [write(tmp_path / x / 'demo', rows) for x in 'ab']
  first, second = study.read_all(folders)
  assert len(first.outcomes) == 1 and second.outcomes == []
  assert second.left_out == {'run abc': 'it is in demo, too'}
  with pytest.raises(ValueError, match='a law takes 4 encodings'):
    fit.law([first, second], folders)


def test_runs_of_two_corpora_are_two_runs(tmp_path):
  """An id of a run is of its config, wherever its text was."""
  rows = curve('none', 10.0, 11.0, run='abc')
  folders = [write(tmp_path / x / 'demo', rows) for x in 'ab']
  for folder, corpus in zip(folders, ('books', 'code'), strict=True):
    e = config.load('demo', {'data.source': f'files:{corpus}/*.txt'})
    signed.write(pathlib.Path(folder) / 'sweep.json', e.to_dict())
  first, second = study.read_all(folders)
  assert len(first.outcomes) == len(second.outcomes) == 1
  assert {**first.left_out, **second.left_out} == {}


def test_a_perplexity_that_is_not_finite_is_named(tmp_path, capsys):
  rows = [*curve('none', 10.0, math.inf, 12.0), *curve('alibi', 0.0, 1.0)]
  rows += curve('type1', 1.0, 0.0)
  one = study.read(write(tmp_path / 'demo', rows))
  assert [x.length for x in one.outcomes] == [1024]
  assert 'none, seed 0: perplexity is not finite' in capsys.readouterr().err


def test_answers_to_a_probe_are_no_text(tmp_path):
  """A law of texts is not fitted on them; configs/probe.py is of needles."""
  one = study.read(write(tmp_path / 'probe', curve('none', 1.0, 1.0, 2.0)))
  assert one.outcomes == [] and 'answers to a probe' in one.left_out['none']


def test_what_is_no_study_is_refused_in_one_line(tmp_path):
  absent, other = str(tmp_path / 'absent'), str(tmp_path / 'other')
  table_only = write(tmp_path / 'odd', [dict(rpe='none', length=64, ppl=1.0)])
  shutil.copytree(table_only, other)
  table.write(tmp_path / 'other' / 'sweep.csv', [dict(rpe='none', a=1)])
  for folder, why in (
    (absent, 'is no study: .*give the folder of a finished sweep'),
    (other, 'lacks seed, train_length, length, ppl'),
    (table_only, "no sweep.json in it, and no config called 'odd'"),
  ):
    with pytest.raises(ValueError, match=why) as e:
      study.read(folder)
    assert '\n' not in str(e.value)
