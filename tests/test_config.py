"""Configs: every file builds, and every mistake is named before any compute."""

import pathlib

import pytest

from extrapolation import config, grid, rpe, train
from extrapolation import model as model_lib

FILES = sorted((pathlib.Path(__file__).parent.parent / 'configs').glob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.stem)
def test_every_config_is_sound(path):
  c = config.load(str(path))
  train.check(c)
  assert list(grid.runs(c))
  doc = path.read_text().split('"""')[1]
  assert 'extrapolation' in doc, 'a config is a lab note: give the command'


@pytest.mark.parametrize('name', rpe.names())
def test_every_encoding_fits_a_config(name):
  c = config.override(config.base(), {'model.rpe': name})
  assert c.model.rpe_args.to_dict() == rpe.defaults(name)
  train.check(c)


def test_overrides_take_the_type_of_what_they_replace():
  c = config.override(
    config.base(),
    {
      'seed': '3',
      'optim.lr': '1',
      'model.scan': 'true',
      'eval.lengths': '8,16',
      'model.rpe': 'window',
      'model.rpe_args.width': '64',
      'data.source': 'files:a=b',
    },
  )
  assert (c.seed, c.optim.lr, c.model.scan) == (3, 1.0, True)
  assert isinstance(c.optim.lr, float)
  assert c.eval.lengths == (8, 16)
  assert c.model.rpe_args.width == 64
  assert c.data.source == 'files:a=b'


def test_overrides_leave_the_original_alone():
  base = config.base()
  config.override(base, {'model.rpe': 'window', 'train.T': '3'})
  assert base.to_dict() == config.base().to_dict()


@pytest.mark.parametrize(
  'key, value, message',
  [
    ('trian.T', '3', "no config key 'trian'.*'train'"),
    ('train.Tt', '3', "no config key 'train.Tt'.*there are: .*steps"),
    ('seed.x', '3', "'seed' is not a section"),
    ('train', '3', "'train' is a section with the keys: B"),
    ('train.T', '3.5', "train.T = '3.5': needs int"),
    ('train.T', 'many', "train.T = 'many': needs int"),
    ('train.T', 'True', "train.T = 'True': needs int"),
    ('model.scan', '1', "model.scan = '1': needs bool"),
    ('optim.lr', '__import__("os")', 'optim.lr.*needs float'),
    ('model.rpe', 'typ2', "no encoding 'typ2'.*'type2'.*alibi"),
    ('model.rpe_args.width', '3', "no config key 'model.rpe_args.width'"),
  ],
)
def test_mistakes_are_named(key, value, message):
  with pytest.raises(ValueError, match=message):
    config.override(config.base(), {key: value})


@pytest.mark.parametrize(
  'key, value, message',
  [
    ('model.H', 7, '7 heads do not divide model.D = 512; near by: 2, 4, 8'),
    ('model.dtype', 'float16', 'there are: float32, bfloat16'),
    ('model.N', 0, 'model.N = 0'),
    ('model.dropout', 1.0, 'model.dropout = 1.0'),
    ('optim.schedule', 'linear', 'there are: inverse_sqrt, cosine, constant'),
    ('optim.warmup', 10**6, 'optim.warmup = 1000000'),
    ('optim.lr', float('nan'), 'optim.lr = nan'),
    ('train.T', 0, 'train.T = 0'),
    ('train.accumulate', 3, 'accumulate = 3 does not divide train.B = 128'),
    ('eval.lengths', (), 'eval.lengths is empty'),
    ('eval.lengths', (0,), '0 is not a length'),
    ('eval.protocol', 'overlap', 'there are: nonoverlap, sliding:STRIDE'),
    ('eval.protocol', 'last:513', 'scores 513 targets'),
  ],
)
def test_values_that_do_not_fit_are_named(key, value, message):
  c = config.override(config.base(), {}).unlock()
  section, _, leaf = key.partition('.')
  c[section][leaf] = value
  with pytest.raises(ValueError, match=message):
    train.check(c)


def test_a_hyperparameter_of_another_encoding_is_refused():
  c = config.base()
  c.model.rpe_args = dict(width=3)
  with pytest.raises(ValueError, match="'type2' has no hyperparameter 'width'"):
    config.override(c, {})


def test_unknown_sections_and_fields_of_a_file_are_refused():
  c = config.override(config.base(), {}).unlock()
  c.modle = dict(N=3)
  with pytest.raises(ValueError, match="'modle'.*did you mean 'model'"):
    train.check(c)
  c = config.override(config.base(), {}).unlock()
  c.model.layers = 3
  with pytest.raises(ValueError, match="'model.layers'.*there are: .*dropout"):
    train.check(c)
  c = config.override(config.base(), {}).unlock()
  c.model = dict(rpe='alibi', N='3')
  with pytest.raises(ValueError, match="model.N = '3': needs int, got str"):
    config.bind('model', model_lib.Config, c.model)


def test_load_refuses_what_is_no_config(tmp_path):
  with pytest.raises(ValueError, match='no config file.*get_config'):
    config.load(str(tmp_path / 'absent.py'))
  (tmp_path / 'empty.py').write_text('')
  with pytest.raises(ValueError, match=r'has no get_config\(\)'):
    config.load(str(tmp_path / 'empty.py'))


def test_load_passes_what_follows_the_colon(tmp_path):
  (tmp_path / 'one.py').write_text(
    'from extrapolation import config\n'
    'def get_config(rpe="alibi"):\n'
    '  c = config.base()\n'
    '  c.model.rpe = rpe\n'
    '  return c\n'
  )
  assert config.load(f'{tmp_path}/one.py').model.rpe == 'alibi'
  assert config.load(f'{tmp_path}/one.py:type1').model.rpe == 'type1'


def test_differences():
  old, new = dict(a=1, b=dict(c=2, d=3)), dict(a=1, b=dict(c=4), e=5)
  assert config.differences(old, new) == [
    'b.c: 2 -> 4',
    "b.d: 3 -> '(absent)'",
    "e: '(absent)' -> 5",
  ]
