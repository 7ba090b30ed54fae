"""Config files and overrides: every mistake is named before any compute."""

import pathlib
import sys

import pytest
from ml_collections import ConfigDict

from extrapolation import config, rpe, train
from extrapolation.runs import sweep_grid

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted((ROOT / 'configs').glob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.stem)
def test_every_config_is_sound(path):
  e = config.load(str(path))
  train.check(e)
  assert list(sweep_grid.experiments(e))
  doc = path.read_text().split('"""')[1]
  assert 'extrapolation' in doc, 'a config is a lab note: give the command'


@pytest.mark.parametrize('folder', ['configs', 'configs/study', 'mine'])
def test_a_config_can_import_what_is_beside_its_folder(
  tmp_path, monkeypatch, folder
):
  """Beside `configs`, however deep in it the file is; else beside its own."""
  monkeypatch.setattr(sys, 'path', sys.path[:])
  monkeypatch.setitem(sys.modules, 'beside_configs', None)
  monkeypatch.delitem(sys.modules, 'beside_configs')
  (tmp_path / 'beside_configs.py').write_text('T = 17\n')
  path = tmp_path / folder / 'a.py'
  path.parent.mkdir(parents=True)
  path.write_text(
    'from beside_configs import T\nfrom extrapolation import config\n\n\n'
    'def get_config():\n'
    '  c = config.base()\n  c.train.T = T\n  return c\n'
  )
  assert config.load(str(path)).train.T == 17


@pytest.mark.parametrize('name', rpe.names())
def test_every_encoding_fits_a_config(name):
  e = config.override(config.base(), {'model.rpe': name})
  assert e.model.rpe_args == rpe.defaults(name)
  assert config.override(e, {}) == e


def test_sizes_are_text_where_a_config_has_none():
  """Also where they could be read as whole numbers, as those of a tree."""
  changes = {'model.kind': 'encoder', 'model.geometry': 'tree'}
  changes |= {'train.size': '3', 'eval.sizes': '3,5'}
  e = config.override(config.base(), changes)
  assert e.eval.sizes == ('3', '5') and e.eval.lengths == (15, 63)
  changes |= {'model.geometry': 'grid', 'train.size': '4x4'}
  e = config.override(config.base(), changes | {'eval.sizes': '4x4,4x8'})
  assert e.eval.sizes == ('4x4', '4x8')


def test_a_heat_has_the_places_of_the_training_size_for_its_length():
  changes = {'model.kind': 'encoder', 'model.geometry': 'grid'}
  changes |= {'train.size': '8x16', 'model.rpe': 'type1*log_n'}
  e = config.override(config.base(), changes)
  assert e.model.rpe == 'type1*log_n:train_length=128'
  patched = changes | {'model.patch': '2', 'model.pool': 'mean'}
  e = config.override(config.base(), patched)
  assert e.model.rpe == 'type1*log_n:train_length=32'
  with pytest.raises(ValueError, match="train.size = '8'"):
    config.override(config.base(), changes | {'train.size': '8'})


@pytest.mark.parametrize(
  'section, key, value, said',
  [
    ('eval', 'sizes', (3, 5), 'config key eval.sizes = 3: needs str, got int'),
    ('eval', 'lengths', (8, '9'), "eval.lengths = '9': needs int, got str"),
    ('sweep', 'seeds', (0, True), 'sweep.seeds = True: needs int, got bool'),
  ],
)
def test_a_value_in_a_tuple_has_its_type_too(section, key, value, said):
  c = config.base()
  with pytest.raises(ValueError, match=said):
    c[section][key] = value
    config.override(c, {})


def test_overrides_take_the_type_of_what_they_replace():
  e = config.override(
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
  assert (e.seed, e.optim.lr, e.model.scan) == (3, 1.0, True)
  assert isinstance(e.optim.lr, float)
  assert e.eval.lengths == (8, 16)
  assert e.model.rpe_args['width'] == 64
  assert e.data.source == 'files:a=b'


def test_overrides_leave_the_original_alone():
  base = config.base()
  e = config.override(base, {'model.rpe': 'window', 'train.T': '3'})
  assert base.to_dict() == config.base().to_dict()
  assert config.override(e, {'train.T': '4'}).train.T == 4 and e.train.T == 3


def test_another_encoding_begins_with_its_own_hyperparameters():
  e = config.override(
    config.base(), {'model.rpe': 'window', 'model.rpe_args.width': '9'}
  )
  assert config.override(e, {'seed': '1'}).model.rpe_args['width'] == 9
  assert config.override(e, {'model.rpe': 'none'}).model.rpe_args == {}


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
    (
      'model.scan',
      '2',
      "model.scan = '2': needs bool.*'2' is neither true nor",
    ),
    ('optim.lr', '__import__("os")', 'optim.lr.*needs float'),
    ('model.rpe', 'typ2', "no encoding 'typ2'.*'type2'.*alibi"),
    ('model.rpe_args.width', '3', "no config key 'model.rpe_args.width'"),
  ],
)
def test_mistakes_are_named(key, value, message):
  with pytest.raises(ValueError, match=message):
    config.override(config.base(), {key: value})


def test_a_hyperparameter_of_another_encoding_is_refused():
  c = config.base()
  c.model.rpe_args = dict(width=3)
  with pytest.raises(ValueError, match="'type2' has no hyperparameter 'width'"):
    config.override(c, {})


def changed(**changes):
  """A config file's ConfigDict with whole sections replaced."""
  kept = {k: v for k, v in config.base().to_dict().items() if k not in changes}
  return ConfigDict(kept | changes)


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(modle=dict(N=3)), "'modle'.*did you mean 'model'"),
    (dict(model=dict(layers=3)), "'model.layers'.*there are: .*dropout"),
    (
      dict(model=dict(rpe='alibi', N='3')),
      "model.N = '3': needs int, got str",
    ),
    (dict(model=dict(H='8')), "model.H = '8': needs int, got str"),
    (dict(model=3), "'model' = 3 is no section"),
    (dict(optim=3), "'optim' = 3 is no section"),
  ],
)
def test_keys_and_types_of_a_file_are_checked(changes, message):
  with pytest.raises(ValueError, match=message):
    config.override(changed(**changes), {})


def test_a_file_has_every_section():
  c = config.base().unlock()
  del c.optim
  with pytest.raises(ValueError, match=r"no 'optim'; start from config.base"):
    config.override(c, {})


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
