"""Arrows point down: who may import whom, read from the source."""

import ast
import pathlib

import extrapolation

ROOT = pathlib.Path(extrapolation.__file__).parent

# A module may import from the levels before its own, and from its own package.
LEVELS = [
  {'flags', 'rpe'},
  {
    'attention',
    'commit',
    'theory',
    'lease',
    'lifeline',
    'linear',
    'loss',
    'memory',
    'page',
    'plot',
    'progress',
    'ranks',
    'table',
  },
  {'data', 'config', 'protocol', 'optim', 'parallel', 'predict'},
  {'cli', 'model', 'multihost'},
  {'checkpoint', 'preemption', 'program'},
  {'run'},
  {'certificate'},
  {'train', 'evaluate', 'generate'},
  {'receptive_field', 'grid'},
  {'report'},
  {'sweep'},
]
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}


def imports(path: pathlib.Path) -> set[str]:
  """Top-level parts of this package that a file imports."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: imports are absolute here'
      found |= {f'{node.module}.{alias.name}' for alias in node.names}
  parts = [name.split('.') for name in found]
  return {p[1] for p in parts if p[0] == 'extrapolation' and len(p) > 1}


def part(path: pathlib.Path) -> str:
  return path.relative_to(ROOT).parts[0].removesuffix('.py')


def test_arrows_point_down():
  for path in sorted(ROOT.rglob('*.py')):
    mine = part(path)
    if mine == '__init__':
      continue
    assert mine in LEVEL, f'{mine}: give it a level in {__file__}'
    for other in imports(path) - {mine}:
      assert LEVEL[other] < LEVEL[mine], f'{path} imports {other}'


def test_theory_and_data_need_no_flax():
  for path in [*ROOT.glob('theory/*.py'), *ROOT.glob('data/*.py')]:
    assert 'flax' not in path.read_text(), path


def test_no_encoding_is_named_outside_its_file():
  """Encodings enter through the contract alone: no `if name == 'alibi'`."""
  names = {p.stem for p in ROOT.glob('rpe/*.py')} - {'__init__', 'base', 'none'}
  for name in ('attention', 'model', 'train', 'evaluate', 'run'):
    for path in ROOT.glob(
      f'{name}*/*.py' if name == 'attention' else f'{name}.py'
    ):
      strings = {
        n.value
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
      }
      clash = {s for s in strings if s in names and s != 'window'}
      assert not clash, f'{path} names {clash}'
