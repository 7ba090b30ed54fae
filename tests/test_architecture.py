"""Arrows point down: which room may import which, read from the source.

A room is what stands directly in `extrapolation/`: a command (a file) or a
folder. `python tests/test_architecture.py` prints the plan.
"""

import ast
import functools
import pathlib
from collections.abc import Iterable, Mapping

import pytest

ROOT = pathlib.Path(__file__).parent.parent / 'extrapolation'

# A room may import from the rooms of the lines before its own.
LEVELS = [
  {'output', 'parts'},
  {'cli', 'clock', 'geometry', 'heat'},
  {'rpe'},
  {'data'},
  {'config'},
  {'parallel'},
  {'attention'},
  {'theory'},
  {'model'},
  {'runs'},
  {'predict', 'training'},
  {'evaluation'},
  {'evaluate', 'generate', 'train'},
  {'receptive_field'},
  {'probe'},
  {'report'},
  {'sweep'},
]
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}
# Rooms within a room, lowest first.
INNER = {
  'data': [
    'folder_cache',
    'network',
    'permissions',
    'probes',
    'sources',
    'tasks',
    'tokenizers',
  ],
  'theory': ['errors', 'expression', 'asymptotics', 'enclosures'],
  'receptive_field': ['estimators'],
}

Arrows = dict[str, set[str]]


def module(path: pathlib.Path) -> str:
  """Dotted name of a file, the package itself for `__init__.py`."""
  parts = path.relative_to(ROOT.parent).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def files() -> dict[str, pathlib.Path]:
  return {module(path): path for path in sorted(ROOT.rglob('*.py'))}


def imports(path: pathlib.Path, known: Iterable[str]) -> set[str]:
  """Modules of this package that a file imports, anywhere in its text."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: imports are absolute here'
      for alias in node.names:
        full = f'{node.module}.{alias.name}'
        found.add(full if full in known else node.module)
  return {name for name in found if name in known and '.' in name}


@functools.cache  # read by every test here
def arrows() -> Arrows:
  """The modules that each module imports."""
  known = files()
  return {m: imports(p, known) - {m} for m, p in known.items() if '.' in m}


def between_rooms(depth: int = 1, within: str = 'extrapolation') -> Arrows:
  """The rooms that each room imports, `depth` names below `within`."""
  out: Arrows = {}
  prefix = within.split('.')

  def room(name: str) -> str:
    parts = name.split('.')
    if parts[: len(prefix)] != prefix or len(parts) <= len(prefix):
      return ''
    return '.'.join(parts[len(prefix) : len(prefix) + depth])

  for name, others in arrows().items():
    if mine := room(name):
      out.setdefault(mine, set()).update(map(room, others))
  return {m: others - {m, ''} for m, others in out.items()}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
  """Groups of more than one node that all lead to each other."""
  reach = {}
  for start in graph:
    seen, todo = set(), [start]
    while todo:
      for other in graph.get(todo.pop(), ()):
        if other not in seen:
          seen.add(other)
          todo.append(other)
    reach[start] = seen
  found = {
    tuple(sorted({a} | {b for b in reach[a] if a in reach.get(b, ())}))
    for a in graph
    if a in reach[a]
  }
  return [list(group) for group in sorted(found)]


def test_arrows_point_down():
  for mine, others in between_rooms().items():
    assert mine in LEVEL, f'{mine}: give it a level in {__file__}'
    for other in others:
      assert LEVEL[other] < LEVEL[mine], f'{mine} imports {other}'


def test_there_are_few_rooms():
  assert set(LEVEL) == set(between_rooms()), 'rooms without a level, or gone'
  assert len(LEVEL) + len(['configs', 'launch']) < 28


def test_no_circle_of_imports():
  """Between files: also one that a late import would hide."""
  packages = {name for name, path in files().items()
              if path.name == '__init__.py'}  # fmt: skip
  graph = {m: {o for o in others if o not in packages}
           for m, others in arrows().items() if m not in packages}  # fmt: skip
  assert circles(graph) == []


@pytest.mark.parametrize('room', INNER)
def test_inner_rooms_stand_under_their_readers(room):
  inner = INNER[room]
  graph = between_rooms(within=f'extrapolation.{room}')
  for i, name in enumerate(inner):
    allowed = set(inner[:i])
    assert graph[name] <= allowed, f'{room}/{name} imports {graph[name]}'


def test_a_circle_is_found():
  assert circles({'a': {'b'}, 'b': {'c'}, 'c': {'a'}, 'd': {'a'}}) == [
    ['a', 'b', 'c']
  ]
  assert circles({'a': {'b'}, 'b': set()}) == []


def test_theory_and_data_need_no_flax():
  for path in [*ROOT.glob('theory/**/*.py'), *ROOT.glob('data/**/*.py')]:
    assert 'flax' not in path.read_text().lower().split('import'), path


def test_no_encoding_is_named_outside_its_file():
  """Parts enter through the contract alone: no `if name == 'alibi'`."""
  from extrapolation import clock, heat, rpe

  names = {*rpe.names(), *clock.names(), *heat.names()} - {'none'}
  rooms = ('attention', 'model', 'training', 'evaluation', 'runs', 'parallel')
  paths = [p for room in rooms for p in ROOT.glob(f'{room}/**/*.py')]
  paths += [ROOT / f'{name}.py' for name in ('train', 'evaluate', 'sweep')]
  for path in paths:
    strings = {
      n.value
      for n in ast.walk(ast.parse(path.read_text()))
      if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    clash = {s for s in strings if s in names and s != 'window'}
    assert not clash, f'{path} names {clash}'


if __name__ == '__main__':
  rooms = between_rooms()
  for level in reversed(LEVELS):
    for name in sorted(level):
      print(f'{name:16} -> {", ".join(sorted(rooms.get(name, ())))}')
  up = sum(LEVEL[b] >= LEVEL[a] for a, bs in rooms.items() for b in bs)
  print(
    f'{len(rooms)} rooms, {sum(map(len, rooms.values()))} arrows, {up} of '
    f'them up, {len(circles(rooms))} circles of rooms, '
    f'{len(circles(arrows()))} of files'
  )
