"""Tasks on places, one file each: examples with known optima, from a seed.

A file `extrapolation/data/tasks/NAME.py` with a function `make(**hyper) ->
Task` is a task called NAME, of a source `task:NAME:KEY=VALUE..`.
"""

from extrapolation import rpe
from extrapolation.data.tasks.base import Example, Task
from extrapolation.parts import Registry

__all__ = [
  'PREFIX',
  'REGISTRY',
  'Example',
  'Task',
  'defaults',
  'get',
  'names',
  'parse',
]

PREFIX = 'task:'  # of its source

REGISTRY = Registry(
  __name__,
  'task',
  'Task',
  others=('base', 'canvas', 'images', 'masking', 'network', 'potts', 'strings'),
  given=(),
)
names = REGISTRY.names
defaults = REGISTRY.defaults
get = REGISTRY.get


def parse(source: str) -> Task:
  """The task of a source `task:NAME[:KEY=VALUE..]`, or without `task:`.

  >>> parse('task:copy:symbols=8').label
  'copy:symbols=8'

  Raises:
    ValueError: no such task or hyperparameter, or a value that it cannot take.
  """
  name, written = rpe.parse_kernel(source.removeprefix(PREFIX))
  hyper = rpe.typed(name, written, defaults(name), 'task')
  return get(name, **hyper).labelled(REGISTRY.label(name, hyper))
