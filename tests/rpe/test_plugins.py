"""Encodings of installed packages, found by their entry points."""

import sys

import pytest

from extrapolation import rpe
from extrapolation.rpe import plugins
from tests import own_encoding


@pytest.fixture
def install(tmp_path, monkeypatch):
  """Makes an installed package of a module, with its entry points."""

  def install(package, text, *points):
    folder = tmp_path / 'site'
    own_encoding.write(folder / f'{package}.py', text)
    about = folder / f'{package}-1.5.dist-info'
    own_encoding.write(
      about / 'METADATA',
      f'Name: {package}\nVersion: 1.5\n',
    )
    lines = '\n'.join(points)
    own_encoding.write(
      about / 'entry_points.txt', f'[extrapolation.rpe]\n{lines}\n'
    )
    if str(folder) not in sys.path:
      monkeypatch.syspath_prepend(str(folder))
    plugins.installed.cache_clear()

  yield install
  plugins.installed.cache_clear()
  for name in ('bells', 'others'):
    sys.modules.pop(name, None)


def test_a_module_or_a_function_is_an_encoding(install):
  install('bells', own_encoding.GOOD, 'bell = bells', 'bell_too = bells:make')
  assert {'bell', 'bell_too', 'alibi'} <= {*rpe.names()}
  for name in ('bell', 'bell_too'):
    assert rpe.get(name, 2, width=3.0).name == name
    kept, text = rpe.source(name)
    assert kept == f'{name}.py' and text == own_encoding.GOOD.encode()
  assert rpe.source('alibi') is None


def test_a_packaged_name_stays_and_two_packages_are_told(install, caplog):
  install('bells', own_encoding.GOOD, 'alibi = bells', 'a:b = bells')
  assert rpe.get('alibi', 2).source.startswith('Press')
  assert 'a:b' not in rpe.names()
  install('others', own_encoding.GOOD, 'bell = others')
  install('bells', own_encoding.GOOD, 'bell = bells')
  with pytest.raises(ValueError, match=r"'bell': \w+ 1.5 and \w+ 1.5; uninst"):
    rpe.names()


@pytest.mark.parametrize(
  'text, said',
  [
    ('x = undefined', "bells 1.5, bells: NameError: name 'undefined'"),
    ('x = 1', r'has no make\(H'),
    ('def make(H, slope): pass', "no default for 'slope'"),
  ],
)
def test_a_broken_one_is_named_and_ends_nothing(install, text, said):
  install('bells', text, 'bell = bells')
  assert 'bell' in rpe.names()
  with pytest.raises(ValueError, match=said):
    rpe.get('bell', 2)
