"""Nothing is scored that is not what it says."""

import pathlib
import shutil

import pytest

from extrapolation import config, evaluate, runs, train
from extrapolation.output import signed


def edit(path: pathlib.Path, key: str, value) -> None:
  """Changes a key, by one who knows how to sign."""
  body = signed.read(path)
  *sections, last = key.split('.')
  section = body
  for name in sections:
    section = section[name]
  section[last] = value
  signed.write(path, body)


def test_swapped_steps_are_found(trained_copy, capsys):
  folder = trained_copy / 'checkpoints'
  (folder / '2').rename(folder / 'x')
  (folder / '4').rename(folder / '2')
  (folder / 'x').rename(folder / '4')
  with pytest.raises(OSError, match='every checkpoint.*steps 4;'):
    runs.load(str(trained_copy), 4)
  assert 'it was saved at step 2, and moved' in capsys.readouterr().err
  shutil.rmtree(folder / '6')
  with pytest.raises(OSError, match='every checkpoint.*steps 2, 4;'):
    evaluate.evaluate(str(trained_copy))


@pytest.mark.parametrize(
  'key, value',
  [
    ('seed', 1),
    *(
      pytest.param(*change, marks=pytest.mark.slow)
      for change in (('model.rpe', 'kerple_power'), ('optim.lr', 2e-2))
    ),
  ],
)
def test_a_checkpoint_of_another_run_is_refused(
  trained_copy, tmp_path, key, value
):
  e = runs.load_config(str(trained_copy))
  other = config.override(e, {key: str(value)})
  train.train(other, str(tmp_path / 'other'))
  shutil.rmtree(trained_copy / 'checkpoints')
  shutil.copytree(
    tmp_path / 'other' / 'checkpoints', trained_copy / 'checkpoints'
  )
  for use in (evaluate.evaluate, lambda folder: train.train(e, folder)):
    with pytest.raises(ValueError, match=f'step 6.*was not made with.*{key}: '):
      use(str(trained_copy))


@pytest.mark.parametrize(
  'key, value',
  [
    ('model.H', 1),
    ('train.T', 8),
    ('optim.lr', 2e-2),
    ('model.dropout', 0.5),
    ('train.steps', 7),
  ],
)
def test_an_edited_config_is_refused(trained_copy, key, value):
  path = trained_copy / 'config.json'
  whole = path.read_text()
  edit(path, key, value)
  with pytest.raises(ValueError, match=key.split('.')[-1]):
    evaluate.evaluate(str(trained_copy))
  path.write_text(whole.replace('"steps": 6', '"steps": 7'))
  with pytest.raises(ValueError, match="config.json was altered.*'digest'"):
    evaluate.evaluate(str(trained_copy))


def test_unknown_keys_in_a_config_are_refused(trained_copy):
  edit(trained_copy / 'config.json', 'model.heads', 2)
  with pytest.raises(ValueError, match="config.json: no config key 'model.hea"):
    evaluate.evaluate(str(trained_copy))


@pytest.mark.parametrize('name', ['data.json', 'tokenizer.json'])
def test_text_and_tokenizer_of_another_run_are_refused(
  trained_copy, name, tmp_path
):
  from extrapolation.data import tokenizers

  if name == 'data.json':
    edit(trained_copy / name, 'splits.train.tokens_sha256', '0' * 64)
  else:
    lines = [f'{i} squared is {i * i}.\n' for i in range(900)]
    learned = tokenizers.train('bpe', 280, lines)
    (trained_copy / name).write_text(learned.dumps())
  with pytest.raises(ValueError, match='was not made with the .*lies beside'):
    runs.load(str(trained_copy), text=False)


@pytest.mark.parametrize(
  'changes, known',
  [
    ({}, '153011cff823dfec'),
    ({'model.rpe_args.base_period': '500.0'}, '4e99d4fe74728f3c'),
  ],
)
def test_what_an_encoding_was_given_later_makes_no_run_another(changes, known):
  """`known` was computed when rotary had a base_period and no scaling."""
  e = config.override(config.base(), {'model.rpe': 'rotary', **changes})
  assert runs.run_id(e) == known
  scaled = {'model.rpe_args.scaling': 'pi', 'model.rpe_args.factor': '4.0'}
  assert runs.run_id(config.override(e, scaled)) != known
  assert runs.run_id(config.override(e, {'model.rpe_args.p': '0.5'})) != known


@pytest.mark.slow
def test_a_run_of_before_its_encoding_took_more_goes_on(tiny, tmp_path):
  """A folder whose config.json knows fewer hyperparameters."""
  folder = tmp_path / 'run'
  e = config.override(tiny, {'model.rpe': 'rotary'})
  assert runs.run_id(e) == '6b2caf26b944a083'  # as it was then
  train.train(e, str(folder))
  edit(folder / 'config.json', 'model.rpe_args', {'base_period': 10000.0})
  (row,) = evaluate.evaluate(str(folder), lengths=(16,))
  assert row['run'] == signed.read(folder / 'rpe.json')['run']
  shutil.rmtree(folder / 'checkpoints' / '6')
  train.train(e, str(folder))
  (again,) = evaluate.evaluate(str(folder), lengths=(16,))
  assert again['run'] == row['run'] == runs.run_id(e)
  assert again['ppl'] == pytest.approx(row['ppl'], rel=1e-6)
