"""An encoding in a file of the user's own, and every way to get it wrong."""

import os
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, rpe
from extrapolation.rpe import spec
from tests import own_encoding


@pytest.fixture
def here(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.parametrize(
  'written, parts',
  [
    ('alibi', ('alibi', {})),
    (' power:exponent=0.5 ', ('power', {'exponent': '0.5'})),
    ('mine.py', ('mine.py', {})),
    ('a/b:c/mine.py:x=1:y=2', ('a/b:c/mine.py', {'x': '1', 'y': '2'})),
    ('~/v1.py/mine.py:x=a.py', ('~/v1.py/mine.py', {'x': 'a.py'})),
    ('', ('', {})),
  ],
)
def test_a_spec_is_a_kernel_and_its_hyperparameters(written, parts):
  assert spec.parse(written) == parts


def test_a_file_is_an_encoding_once_it_is_loaded(here):
  path = own_encoding.write(here / 'a' / 'mine.py')
  with pytest.raises(ValueError, match='of which nothing is run unless you'):
    rpe.get(path, 2)
  assert rpe.load('a/mine.py') == 'mine.py'
  assert rpe.defaults(path) == {'width': 64.0}
  e = rpe.get(path, 2, width=2.0)
  assert e.name == 'mine.py'
  t = np.arange(9.0)
  expected = -np.square(np.outer([2.0**-4, 2.0**-8], t)) / 2
  np.testing.assert_allclose(e.bias(jnp.arange(9), {}), expected, rtol=1e-6)
  assert rpe.label(path, {'width': 2.0}) == 'mine.py:width=2'
  assert rpe.label(path, {'width': 64.0}) == 'mine.py'
  assert rpe.get('b/mine.py', 2).name == 'mine.py'  # wherever it lies now


def test_home_is_expanded(here, monkeypatch):
  monkeypatch.setenv('HOME', str(here))
  own_encoding.write(here / 'mine.py')
  assert rpe.load('~/mine.py') == 'mine.py'


def test_two_files_of_one_name_are_told_apart_by_what_is_in_them(here):
  own_encoding.write(here / 'a' / 'mine.py')
  rpe.load('a/mine.py')
  own_encoding.write(here / 'b' / 'mine.py')
  assert rpe.load('b/mine.py') == 'mine.py'
  own_encoding.write(here / 'b' / 'mine.py', own_encoding.TRAP)
  with pytest.raises(ValueError, match=r'two encodings are called mine\.py'):
    rpe.load('b/mine.py')
  assert not own_encoding.ran(here)


def test_the_stem_of_a_packaged_encoding_is_another_encoding(here):
  own_encoding.write(here / 'alibi.py')
  rpe.load('alibi.py')
  mine, theirs = (rpe.get(name, 2) for name in ('alibi.py', 'alibi'))
  assert (mine.name, theirs.name) == ('alibi.py', 'alibi')
  assert not np.allclose(*(e.bias(jnp.arange(9), {}) for e in (mine, theirs)))


def test_a_file_that_was_edited_is_run_again(here):
  own_encoding.write(here / 'mine.py')
  rpe.load('mine.py')
  first = rpe.about('mine.py')
  text = own_encoding.GOOD.replace('64.0', '32.0')
  own_encoding.write(here / 'mine.py', text)
  rpe.load('mine.py')
  assert rpe.about('mine.py')['defaults'] == {'width': 32.0}
  assert rpe.about('mine.py')['sha256'] != first['sha256']


WRONG = {
  'syntax': ('x = 1\ndef make(H:', r'line 2: SyntaxError: .* mend'),
  'name': ('x = 1\n\ny = undefined', r"line 3: NameError: name 'undefined'"),
  'import': ('import no_such_module', 'line 1: ModuleNotFoundError: No module'),
  'exit': ('import sys\nsys.exit("no")', 'line 2: SystemExit: no; mend'),
  'nothing': ('x = 1', r'has no make\(H, \.\.\); define one that'),
  'number': ('make = 3', 'make is a int; define a function'),
  'empty': ('def make(): pass', r'make\(\) takes no H; define'),
  'default': (
    'def make(H, slope): pass', "make.. has no default for 'slope'; give it"
  ),
  'kind': (
    'def make(H, slope=None): pass', r'slope=None; a hyperparameter is a number'
  ),
  'bytes': (b'x = "\xff"', r'SyntaxError: .*utf-8'),
}  # fmt: skip


@pytest.mark.parametrize('case', WRONG)
def test_a_file_that_is_no_encoding_is_said_in_one_line(case, here):
  text, said = WRONG[case]
  content = text if isinstance(text, bytes) else text.encode()
  (here / 'mine.py').write_bytes(content)
  with pytest.raises(ValueError, match=said) as error:
    rpe.load('mine.py')
  message = str(error.value)
  assert str(here / 'mine.py') in message and '\n' not in message
  assert not rpe.loaded('mine.py')


def test_paths_that_are_no_file_are_said(here):
  (here / 'folder.py').mkdir()
  (here / 'secret.py').write_text('')
  (here / 'secret.py').chmod(0)
  own_encoding.write(here / 'a b.py')
  cases = {
    'folder.py': 'is a directory; an encoding is one file',
    'nosuch.py': r"no file 'nosuch\.py' \(looked for .*; give the path",
    'a b.py': r'it is called NAME\.py, letters, digits',
    'alibi': 'is no file of an encoding',
  }
  if os.geteuid():
    cases['secret.py'] = "'secret.py' cannot be read: Permission denied"
  for path, said in cases.items():
    with pytest.raises(ValueError, match=said):
      rpe.load(path)


def test_a_path_without_its_suffix_is_named(here):
  own_encoding.write(here / 'mine.py')
  with pytest.raises(ValueError, match=r'for the file of your own write mine'):
    rpe.get('mine', 2)
  with pytest.raises(ValueError, match=r'a file of your own ends in \.py'):
    rpe.get('a/mine', 2)


@pytest.mark.parametrize(
  'body, said',
  [
    ('return undefined', r"line 2: NameError: name 'undefined'"),
    ('raise ValueError(f"width = {width}")', 'line 2: ValueError: width = 64'),
    ('return 3', r'make\(\) gives int, not an RPE; return extrapolation'),
  ],
)
def test_what_make_raises_is_said_with_its_line(body, said, here):
  own_encoding.write(here / 'mine.py', f'def make(H, width=64.0):\n  {body}\n')
  rpe.load('mine.py')
  with pytest.raises(ValueError, match=said) as error:
    rpe.get('mine.py', 2)
  assert str(here / 'mine.py') in str(error.value)


def load(**overrides):
  return config.load('demo', {k.replace('__', '.'): v
                              for k, v in overrides.items()})  # fmt: skip


def test_a_config_names_a_file_with_its_hyperparameters(here):
  path = own_encoding.write(here / 'a' / 'mine.py')
  m = load(model__rpe='a/mine.py:width=3').model
  assert (m.rpe, dict(m.rpe_args)) == ('a/mine.py', {'width': 3.0})
  assert m.label == 'mine.py:width=3'
  assert dict(m.rpe_file['defaults']) == {'width': 64.0}
  assert load(model__rpe=path).model.rpe_args == {'width': 64.0}
  both = dict(model__rpe='a/mine.py:width=3', model__rpe_args__width='4')
  with pytest.raises(ValueError, match='two values; give one'):
    load(**both)
  with pytest.raises(ValueError, match='it is read from the file itself'):
    load(model__rpe=path, model__rpe_file__sha256='0' * 64)
  with pytest.raises(ValueError, match="rpe_args.width = 'x': needs float"):
    load(model__rpe='a/mine.py:width=x')
  assert load(model__rpe='power:exponent=0.5').model.label == (
    'power:exponent=0.5'
  )


def test_a_config_file_may_name_one_too(here):
  own_encoding.write(here / 'mine.py')
  (here / 'own.py').write_text(
    'from extrapolation import config\n'
    'def get_config():\n'
    '  c = config.base()\n'
    '  c.model.rpe = "mine.py:width=2"\n'
    '  c.sweep.rpe = "alibi,mine.py"\n'
    '  return c\n'
  )
  e = config.load('own.py')
  assert e.model.label == 'mine.py:width=2'
  assert list(e.sweep.files) == ['mine.py']
  assert config.override(e, {'model.rpe': 'alibi'}).model.rpe_file == {}
  again = config.from_dict(e.to_dict())
  assert again == e and hash(again) == hash(e)


@pytest.mark.parametrize(
  'record',
  [
    {'sha256': 'x', 'defaults': {}},
    {'sha256': '0' * 64},
    {'sha256': '0' * 64, 'defaults': {'width': [1]}},
    {'sha256': '0' * 64, 'defaults': 3},
  ],
)
def test_what_a_config_records_of_a_file_is_looked_at(record):
  about = dict(rpe='mine.py', rpe_args={}, rpe_file=record)
  with pytest.raises(ValueError, match=r'model\.rpe_file = .*: needs'):
    config.from_dict({'model': about})
  about = dict(rpe='alibi', rpe_args={}, rpe_file=record)
  with pytest.raises(ValueError, match="'alibi' is no file"):
    config.from_dict({'model': about})


def test_a_name_from_elsewhere_cannot_write_to_the_terminal():
  record = {'sha256': '0' * 64, 'defaults': {}}
  about = dict(rpe='a/\x1b[2J.py', rpe_args={}, rpe_file=record)
  with pytest.raises(ValueError, match='is no name of a file') as error:
    config.from_dict({'model': about})
  assert '\x1b' not in str(error.value)


def test_nothing_beside_the_file_is_imported(here):
  """Its copy in a run must be the whole of it."""
  (here / 'a').mkdir()
  (here / 'a' / 'helper.py').write_text('x = 1')
  own_encoding.write(here / 'a' / 'mine.py', 'import helper')
  with pytest.raises(ValueError, match='line 1: ModuleNotFoundError'):
    rpe.load(str(pathlib.Path('a') / 'mine.py'))
