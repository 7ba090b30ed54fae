"""Evaluations of a run side by side: other lengths, other text, two at once."""

import shutil
import threading

import numpy as np
import pytest

from extrapolation import config, evaluate, runs, train
from extrapolation.output import table
from extrapolation.runs import eval_table, sweep_grid


def lengths(folder, name='test-nonoverlap.csv'):
  return [row['length'] for row in table.read(folder / 'eval' / name)]


def test_another_length_keeps_the_rows_there_are(trained_copy):
  evaluate.evaluate(str(trained_copy), lengths=(16,))
  (first,) = table.read(trained_copy / 'eval' / 'test-nonoverlap.csv')
  evaluate.evaluate(str(trained_copy), lengths=(8, 32))
  assert lengths(trained_copy) == [8, 16, 32]
  evaluate.evaluate(str(trained_copy), lengths=(16,))  # equal: replaced
  rows = table.read(trained_copy / 'eval' / 'test-nonoverlap.csv')
  assert [row['length'] for row in rows] == [8, 16, 32]
  assert rows[1]['ppl'] == first['ppl']
  evaluate.evaluate(str(trained_copy), step=4, lengths=(16,))
  evaluate.evaluate(str(trained_copy), tokens=100, lengths=(16,))
  rows = table.read(trained_copy / 'eval' / 'test-nonoverlap.csv')
  about = [(row['step'], row['length'], row['targets']) for row in rows]
  assert sorted(about) == [
    (4, 16, 200), (6, 8, 200), (6, 16, 100), (6, 16, 200), (6, 32, 200),
  ]  # fmt: skip


def test_other_lengths_never_make_a_finished_run_missing(trained_copy):
  e = runs.load_config(str(trained_copy))
  evaluate.evaluate(str(trained_copy))
  finished = sweep_grid.evaluated_rows(str(trained_copy), e)
  assert [row['length'] for row in finished] == [8, 16, 64]
  evaluate.evaluate(str(trained_copy), lengths=(32, 128))
  evaluate.evaluate(str(trained_copy), step=4)
  evaluate.evaluate(str(trained_copy), tokens=128)
  assert sweep_grid.evaluated_rows(str(trained_copy), e) == finished


def test_two_at_once_lose_no_row(tmp_path):
  at = tmp_path / 'eval.csv'

  def write(n):
    row = dict(run='a', step=1, targets=0, length=n, ppl=float(n))
    with eval_table.turn(at):
      table.write(at, eval_table.merged(at, [row]))

  threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 40)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert [row['length'] for row in table.read(at)] == [*range(1, 40)]


def test_another_text_in_the_tokens_of_the_run(trained_copy, tmp_path):
  own = evaluate.evaluate(str(trained_copy), lengths=(16,))
  text = ''.join(f'{i} squared is {i * i}.\n' for i in range(300, 500))
  (tmp_path / 'other.txt').write_text(text)
  source = f'files:{tmp_path}/other.txt'
  (row,) = evaluate.evaluate(
    str(trained_copy), source=source, lengths=(16,), tokens=0
  )
  assert row['source'] == source and own[0]['source'] != source
  assert row['bytes'] + 1 == len(text.encode())  # all of it, but its first
  assert np.isfinite(row['bits_per_byte'])
  (path,) = (trained_copy / 'eval').glob('test-nonoverlap-*other-txt-*.csv')
  assert [r['source'] for r in table.read(path)] == [source]
  assert lengths(trained_copy) == [16]  # its own text is another table


def test_a_text_with_splits_is_scored_by_its_own(trained_copy, tmp_path):
  for split, n in (('train', 900), ('test', 60)):
    (tmp_path / 'o').mkdir(exist_ok=True)
    (tmp_path / 'o' / f'x.{split}.txt').write_text('words and words\n' * n)
  (row,) = evaluate.evaluate(
    str(trained_copy), source=f'files:{tmp_path}/o', lengths=(16,), tokens=0
  )
  assert row['bytes'] + 1 == 60 * len('words and words\n')


def test_text_that_has_moved(trained_copy, tmp_path):
  e = runs.load_config(str(trained_copy))
  text = e.data.source.removeprefix('files:')
  moved = shutil.copytree(text, tmp_path / 'moved')
  from extrapolation.output import signed

  body = signed.read(trained_copy / 'config.json')
  body['data'].update(
    source=f'files:{tmp_path}/gone', cache=str(tmp_path / 'c')
  )
  signed.write(trained_copy / 'config.json', body)
  with pytest.raises(FileNotFoundError, match='has moved, evaluate it by --so'):
    evaluate.evaluate(str(trained_copy), lengths=(16,))
  (row,) = evaluate.evaluate(
    str(trained_copy), source=f'files:{moved}', lengths=(16,)
  )
  assert row['tokens'] == 200


def test_another_folder_to_write_in(trained_copy, tmp_path):
  before = sorted(trained_copy.rglob('*'))
  evaluate.evaluate(str(trained_copy), lengths=(16,), out=str(tmp_path / 'o'))
  assert sorted(trained_copy.rglob('*')) == before
  assert (tmp_path / 'o' / 'test-nonoverlap.csv').exists()
  (tmp_path / 'file').write_text('')
  with pytest.raises(OSError, match='give another one with --out=DIR'):
    evaluate.evaluate(str(trained_copy), out=str(tmp_path / 'file'))


def test_what_changes_no_result_may_differ_on_resume(trained_copy, tmp_path):
  changes = {'train.log_every': '3', 'train.checkpoint_every': '3'}
  changes |= {'train.keep': '1', 'train.valid_every': '0'}
  changes |= {'data.cache': f'{tmp_path}/elsewhere'}
  e = runs.load_config(str(trained_copy))
  for step in ('4', '6'):
    shutil.rmtree(trained_copy / 'checkpoints' / step)
  other = config.override(e, changes)
  train.train(other, str(trained_copy))
  assert runs.load(str(trained_copy)).step == 6
  assert [r['step'] for r in runs.read_metrics(str(trained_copy))][-1] == 6


def test_rows_of_an_earlier_version_stay_and_are_replaced(trained_copy):
  """Which had neither the run nor the number of targets in them."""
  e = runs.load_config(str(trained_copy))
  evaluate.evaluate(str(trained_copy))
  path = eval_table.path(str(trained_copy), e.eval)
  new = ('run', 'targets', 'source', 'crosses_documents', 'within_documents')
  rows = [
    {k: v for k, v in row.items() if k not in new} for row in table.read(path)
  ]
  table.write(path, rows)
  assert sweep_grid.evaluated_rows(str(trained_copy), e)
  evaluate.evaluate(str(trained_copy), lengths=(32,))
  assert len(sweep_grid.evaluated_rows(str(trained_copy), e)) == 3
  assert lengths(trained_copy) == [8, 16, 32, 64]
  evaluate.evaluate(str(trained_copy), lengths=(16,))
  assert lengths(trained_copy) == [8, 16, 32, 64]


def test_rows_within_documents_stand_beside_those_that_cross_them(tmp_path):
  at = tmp_path / 'eval.csv'
  row = dict(run='a', step=1, targets=0, length=8, crosses_documents='True')
  within = row | dict(within_documents=1, crosses_documents=0)
  table.write(at, [row])  # of a version that read across documents always
  table.write(at, eval_table.merged(at, [within]))
  both = eval_table.merged(at, [within])
  assert [r['crosses_documents'] for r in both] == ['True', 0]
  assert not eval_table.alike(*both)
  across = row | dict(within_documents=0, crosses_documents=5)
  table.write(at, eval_table.merged(at, [across]))
  assert [r['crosses_documents'] for r in table.read(at)] == [0, 5]


def test_a_sweep_takes_the_rows_as_its_run_reads(trained_copy):
  e = runs.load_config(str(trained_copy))
  evaluate.evaluate(str(trained_copy))
  at = eval_table.path(str(trained_copy), e.eval)
  run = table.read(at)[0]['run']
  about = (str(trained_copy), e.eval, e.train.steps, run)
  assert len(eval_table.read(*about, within=False)) == 3
  assert eval_table.read(*about, within=True) == []
