"""What an installation contains: the checkout, its configs and its commit."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def git(folder: pathlib.Path, *argv: str) -> str:
  who = ('-c', 'user.name=a', '-c', 'user.email=a@example.org')
  return subprocess.run(
    ['git', '-C', str(folder), *who, *argv],
    check=True, capture_output=True, text=True,
  ).stdout.strip()  # fmt: skip


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> pathlib.Path:
  """A repository with the sources of this one."""
  folder = tmp_path_factory.mktemp('checkout') / 'code'
  hide = shutil.ignore_patterns('__pycache__', '_built.py')
  for name in ('extrapolation', 'configs', 'results/law'):
    shutil.copytree(ROOT / name, folder / name, ignore=hide)
  for name in ('setup.py', 'pyproject.toml', 'README.md'):
    shutil.copy(ROOT / name, folder / name)
  (folder / '.gitignore').write_text('/build/\n*.egg-info/\n')
  git(folder, 'init', '-q')
  git(folder, 'add', '-A')
  git(folder, 'commit', '-qm', 'all')
  return folder


def build(checkout: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
  """What goes into a wheel, and from there into site-packages."""
  subprocess.run(
    [sys.executable, 'setup.py', '-q', 'build'],
    cwd=checkout, check=True, capture_output=True,
  )  # fmt: skip
  shutil.copytree(checkout / 'build' / 'lib', to / 'site')
  return to / 'site'


def ask(site: pathlib.Path, code: str) -> str:
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=site.parent, text=True,
    capture_output=True, env=os.environ | {'PYTHONPATH': str(site)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  return done.stdout.strip()


PROVENANCE = """
import os
from extrapolation import runs
was = dict(os.environ)
for env in {envs!r}:
  os.environ.clear()
  os.environ.update(was | env)
  print(runs.provenance()['commit'])
"""
TOLD = """
import json
from extrapolation import config, runs
from extrapolation.predict import law
for name in {names}: config.load(name)
read = law.read()
print(json.dumps(dict(
  rpe=config.load('demo:alibi').model.rpe,
  same=config.load('configs/demo.py') == config.load('demo'),
  law=[str(read.path), read.digest],
  commit=runs.provenance()['commit'],
)))
"""


def commit(site: pathlib.Path, *envs: dict[str, str]) -> list[str]:
  """What a process says of its commit, in environments one after the other."""
  return ask(site, PROVENANCE.format(envs=envs or ({},))).split()


@pytest.fixture(scope='module')
def sites(checkout, tmp_path_factory):
  """Two builds; between them a module is deleted."""
  folder = tmp_path_factory.mktemp('site')
  extra = checkout / 'extrapolation' / 'rpe' / 'tmp_deleted.py'
  shutil.copy(checkout / 'extrapolation' / 'rpe' / 'none.py', extra)
  first = build(checkout, folder / 'first')
  extra.unlink()
  return first, build(checkout, folder / 'second')


@pytest.fixture(scope='module')
def told(sites, checkout) -> dict[str, Any]:
  """What one process says of the second build."""
  names = [path.stem for path in (checkout / 'configs').glob('*.py')]
  out = json.loads(ask(sites[1], TOLD.format(names=names)))
  assert [p.name for p in sites[1].iterdir()] == ['extrapolation']
  return out


def test_what_was_deleted_is_not_installed(sites):
  first, second = sites
  assert (first / 'extrapolation' / 'rpe' / 'tmp_deleted.py').exists()
  assert not (second / 'extrapolation' / 'rpe' / 'tmp_deleted.py').exists()


def test_configs_are_installed_and_found_by_name(told):
  assert told['rpe'] == 'alibi' and told['same']


def test_the_law_is_installed(told, sites, checkout):
  code = (
    'from extrapolation.predict import law; read = law.read(); '
    'print(read.path, read.digest)'
  )
  want = sites[1] / 'extrapolation' / 'predict' / 'law.json'
  there = checkout / 'results' / 'law' / 'law.json'
  path, digest = told['law']
  assert path == str(want)
  assert ask(checkout, code).split() == [str(there), digest]


def test_the_commit_of_an_installation_is_that_of_its_build(
  told, sites, checkout, tmp_path
):
  first, site = sites
  want = git(checkout, 'describe', '--always')
  assert commit(first) == [want]  # the module was not tracked
  assert told['commit'] == want
  other = tmp_path / 'other'  # another project, whose environment it is in
  shutil.copytree(site, other / 'site')
  git(other, 'init', '-q')
  (other / 'a').touch()
  git(other, 'add', 'a')
  git(other, 'commit', '-qm', 'other')
  assert commit(other / 'site') == [want]
  (other / 'site/extrapolation/runs/_built.py').unlink()  # of before
  assert commit(other / 'site') == ['unknown']


def test_a_checkout_is_asked_and_needs_no_git(checkout, tmp_path):
  want = git(checkout, 'describe', '--always')
  nowhere = str(tmp_path)
  said = commit(checkout, {}, {'GIT_DIR': nowhere}, {'PATH': nowhere})
  assert said == [want, want, 'unknown']
