"""The packages of the extra `images`, which are asked for when needed."""

import importlib
from types import ModuleType


def need(module: str, task: str) -> ModuleType:
  """A module of scikit-image or scikit-learn.

  Raises:
    ValueError: it is not installed; says how it is.
  """
  try:
    return importlib.import_module(module)
  except ImportError:
    raise ValueError(
      f'task {task} needs the extra `images`: pip install '
      "'extrapolation[images]'"
    ) from None
