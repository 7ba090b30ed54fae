"""Paths: ~ everywhere, no home, and letters that people have in folders."""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from extrapolation import cli, config, evaluate, generate, runs, train
from extrapolation.cli import compilation_cache, paths
from extrapolation.data import folder_cache
from tests.commands import command

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_a_home_is_expanded_and_nothing_else(home):
  assert paths.expand('~/a') == f'{home}/a'
  assert paths.expand('~') == str(home)
  assert paths.expand('a~b/~') == 'a~b/~'
  assert paths.expand('gs://a/~b') == 'gs://a/~b'
  assert paths.several('~/a, b,') == [f'{home}/a', 'b']
  for text in ('~nobody-of-that-name/a', ''):
    with pytest.raises(argparse.ArgumentTypeError):
      paths.path(text)


def test_flags_and_configs_take_a_home(home, tiny):
  command(tiny, home)
  train.main(['--config=~/tiny.py', '--workdir=~/run'])
  evaluate.main(['--workdir=~/run', '--lengths=8'])
  generate.main(['--workdir=~/run', '--tokens=2'])
  assert (home / 'run' / 'eval').is_dir()
  assert not (home / '~').exists()


@pytest.mark.parametrize('module', [
  'evaluate', 'generate', 'predict', 'report', 'receptive_field', 'sweep',
  'theory', 'train',
])  # fmt: skip
def test_every_folder_that_is_a_flag_is_a_path(module, monkeypatch):
  found = []

  def look(self, *args):
    found.extend(a for a in self._actions if a.metavar)
    raise SystemExit

  monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', look)
  names = [f'extrapolation.{module}', f'extrapolation.{module}.__main__']
  modules = [importlib.import_module(name) for name in names[:1]]
  if not hasattr(modules[0], 'main'):
    modules.append(importlib.import_module(names[1]))
  with pytest.raises(SystemExit):
    modules[-1].main([])
  folders = [a for a in found if a.metavar.startswith(('DIR', 'FILE.png'))]
  assert folders
  for action in folders:
    assert action.type in (paths.path, paths.several), action.option_strings


WEIRD = (
  'a b*?',
  '[x]a[1]',
  "a\\b:c'd",
  'a\udcffb%20c',
)


@pytest.mark.parametrize(
  'name',
  ['/'.join(WEIRD), *(pytest.param(x, marks=pytest.mark.slow) for x in WEIRD)],
)
def test_a_run_lives_in_a_folder_of_any_name(name, tiny, tmp_path):
  folder = str(tmp_path / name / 'run')
  e = config.override(tiny, {'eval.lengths': '8', 'train.valid_every': '0'})
  train.train(e, folder)
  assert train.train(e, folder) == {}
  assert runs.load(folder).step == 6
  assert evaluate.evaluate(folder)
  names = {p.name for p in tmp_path.iterdir()}
  first, *deeper = name.split('/')
  assert names == {first, 'text', 'cache'}, 'it was written elsewhere'
  path = tmp_path / first
  for part in deeper:
    assert [p.name for p in path.iterdir()] == [part]
    path /= part


def test_a_config_lies_anywhere_or_is_named(tmp_path, monkeypatch):
  (tmp_path / 'a:b').mkdir()
  path = tmp_path / 'a:b' / 'one.py'
  path.write_text((ROOT / 'configs' / 'demo.py').read_text())
  want = config.load(f'{ROOT}/configs/demo.py')
  assert config.load(str(path)) == want
  assert config.load(f'{path}:alibi').model.rpe == 'alibi'
  monkeypatch.chdir(tmp_path)
  assert config.load('demo') == config.load('configs/demo.py') == want
  assert config.load('demo:alibi').model.rpe == 'alibi'
  with pytest.raises(
    ValueError, match="no config file 'demoo'.*cpu_study, dem"
  ):
    config.load('demoo')


@pytest.mark.slow  # nothing is kept of what it compiles
@pytest.mark.parametrize('home', ['', '/dev/null/x'])
def test_without_a_home_everything_works_and_one_line_says_so(
  home, tiny, tmp_path
):
  tiny = config.override(tiny, {'data.cache': ''})
  argv = command(tiny, tmp_path, f'--workdir={tmp_path}/run')[3:]
  code = """
import os, pwd, sys
def none(uid): raise KeyError(uid)
pwd.getpwuid = none
from extrapolation import cli, train
cli.run(train.main, sys.argv[1:])
"""
  gone = ('HOME', 'XDG_CACHE_HOME', 'JAX_COMPILATION_CACHE_DIR')
  env = {k: v for k, v in os.environ.items() if k not in gone}
  done = subprocess.run(
    [sys.executable, '-c', code, *argv], cwd=ROOT, capture_output=True,
    text=True, env=env | ({'HOME': home} if home else {}),
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  said = [x for x in done.stderr.splitlines() if x.startswith('warning')]
  assert len(said) == 2, said
  assert 'JAX_COMPILATION_CACHE_DIR=DIR' in said[0]
  assert 'data.cache=DIR' in said[1]
  assert json.loads((tmp_path / 'run' / 'config.json').read_text())


def test_a_cache_in_a_home_that_is_not_there_is_refused_in_one_line(
  monkeypatch, capsys
):
  monkeypatch.setenv('HOME', '')
  with pytest.raises(ValueError, match='no home is known for ~.*set HOME'):
    folder_cache.root('~/cache')
  compilation_cache.enable('~/x')
  assert not pathlib.Path('~').exists()
  with pytest.raises(SystemExit):
    cli.run(generate.main, ['--workdir=~/run'])
  assert 'set HOME' in capsys.readouterr().err
