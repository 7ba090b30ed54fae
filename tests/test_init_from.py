"""A run that begins with the parameters of another one."""

import shutil

import jax
import numpy as np
import pytest

from extrapolation import config, runs, train
from extrapolation.data import tokenizers
from extrapolation.runs import init_from


def go_on(trained, tmp_path, spec, **changes):
  e = runs.load_config(str(trained))
  changes = {'train.init_from': spec} | changes
  train.train(config.override(e, changes), str(tmp_path / 'next'))
  return runs.load(str(tmp_path / 'next'))


def test_it_begins_where_the_other_ended(trained_copy, tmp_path):
  first = runs.load(str(trained_copy))
  longer = go_on(
    trained_copy,
    tmp_path,
    f'{trained_copy}:6',
    **{'train.T': '32', 'train.steps': '1', 'optim.warmup': '0'},
    **{'optim.lr': '1e-12'},
  )
  near = jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    longer.params,
    first.params,
  )
  assert near and longer.config.train.init_from == f'{trained_copy}:6'
  (row,) = runs.read_metrics(str(tmp_path / 'next'))
  began = runs.read_metrics(str(trained_copy))[0]['loss']
  assert row['loss'] < began - 0.1  # it has learned already


def test_it_is_resumed_without_the_other(trained_copy, tmp_path):
  e = config.override(
    runs.load_config(str(trained_copy)),
    {'train.init_from': f'{trained_copy}:4'},
  )
  train.train(e, str(tmp_path / 'next'))
  whole = runs.load(str(tmp_path / 'next')).params
  shutil.rmtree(tmp_path / 'next' / 'checkpoints' / '6')
  shutil.rmtree(trained_copy)
  train.train(e, str(tmp_path / 'next'))
  again = runs.load(str(tmp_path / 'next')).params
  jax.tree.map(np.testing.assert_array_equal, again, whole)


def test_the_newest_is_written_down(trained_copy, tmp_path):
  assert init_from.resolve(str(trained_copy)) == f'{trained_copy}:6'
  assert init_from.resolve(f'{trained_copy}:2') == f'{trained_copy}:2'
  with pytest.raises(ValueError, match='of step 5; there are: 2, 4'):
    init_from.resolve(f'{trained_copy}:5')
  with pytest.raises(FileNotFoundError, match='no complete checkpoint in'):
    init_from.resolve(str(tmp_path / 'nothing'))
  assert train._begin(str(trained_copy), f'{tmp_path}/next').endswith(':6')


@pytest.mark.parametrize(
  'changes, says',
  [
    ({'model.D': '32'}, 'is of another model: params'),
    ({'model.rpe': 'alibi'}, 'is of another model: params.rpe'),
    ({'train.init_from': 'nowhere:3'}, 'was trained in other tokens'),
  ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(
  trained_copy, tmp_path, changes, says
):
  with pytest.raises(ValueError, match=says) as error:
    go_on(trained_copy, tmp_path, f'{trained_copy}:6', **changes)
  assert '\n' not in str(error.value) and 'train.init_from' in str(error.value)
  assert not (tmp_path / 'next').exists()


def test_other_tokens_are_refused(trained_copy, tmp_path):
  lines = [f'{i} squared is {i * i}.\n' for i in range(900)]
  learned = tokenizers.train('bpe', 280, lines)
  (trained_copy / 'tokenizer.json').write_text(learned.dumps())
  with pytest.raises(ValueError, match='other tokens .bpe280-.*, not bytes'):
    go_on(trained_copy, tmp_path, f'{trained_copy}:6')
