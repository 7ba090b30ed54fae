"""Config files, and `--config.SECTION.KEY=VALUE` on top of them."""

import importlib.util
import os
import sys
import types
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from extrapolation import rpe
from extrapolation.cli import values
from extrapolation.config import config_files, sizes
from extrapolation.config.experiment import (
  Experiment,
  base,
  from_dict,
  no_key,
  section,
)

READ = {bool: values.yes, int: values.whole, float: values.real}
LISTS = {int: values.wholes, float: values.reals}


def load(spec: str, overrides: Mapping[str, str] | None = None) -> Experiment:
  """The experiment of `FILE.py[:arg]` or `NAME[:arg]`, overrides set.

  Overrides are as on the command line: `{'model.rpe': 'type1'}`.
  A config file defines `get_config()`, or `get_config(arg)` called with what
  follows the colon, and returns an ml_collections ConfigDict; `config.base` is
  the one to start from. NAME is one of those that come with the package.

  Raises:
    ValueError: no such file or key, or a value of another type or out of
      range; the message names the key and what there is.
  """
  path, arg = config_files.find(spec)
  c = _module(path).get_config(*([arg] if arg else []))
  return override(c, overrides or {})


def override(
  c: ConfigDict | Experiment, overrides: Mapping[str, str]
) -> Experiment:
  """`c` with string values set, each parsed to the type that its key has.

  Another encoding begins with its own default hyperparameters.

  Raises:
    ValueError: as `load`.
  """
  tree = c.to_dict() if isinstance(c, Experiment) else _values(c)
  model = tree['model']
  name = overrides.get('model.rpe', model['rpe'])
  if not isinstance(name, str):
    raise ValueError(f'config key model.rpe = {sizes.shown(name)}: needs str')
  if name != model['rpe']:
    model.update(rpe=name, rpe_args={})  # those were of another encoding
  model['rpe_args'] = {**rpe.defaults(name), **model['rpe_args']}
  for key, text in overrides.items():
    *parents, leaf = key.split('.')
    node = tree
    for i, part in enumerate(parents):
      node = _child(node, part, '.'.join(parents[:i]))
      if not isinstance(node, dict):
        raise ValueError(
          f'config key {sizes.shown(key)}: {part!r} is not a section'
        )
    old = _child(node, leaf, '.'.join(parents))
    node[leaf] = _parse(text, old, key)
  return from_dict(tree)


def _values(c: ConfigDict) -> dict[str, Any]:
  """A config file's values, which has every section; absent keys of default."""
  if not isinstance(c, ConfigDict):
    raise ValueError(
      f'get_config() made a {type(c).__name__}: it needs the ConfigDict of '
      'config.base(), changed and returned'
    )
  tree = c.copy_and_resolve_references().to_dict()
  known = base().to_dict()
  for key in tree:
    if key not in known:
      raise ValueError(no_key(str(key), str(key), list(known)))
  for key, default in known.items():
    if key not in tree:
      raise ValueError(f'config has no {key!r}; start from config.base()')
    if isinstance(default, dict):
      tree[key] = {**default, **section(tree[key], key)}
  return tree


def _module(path: str) -> types.ModuleType:
  # So that a config can import its neighbour: `from configs import demo`.
  root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
  if root not in sys.path:
    sys.path.append(root)
  spec = importlib.util.spec_from_file_location('_config', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'get_config'):
    raise ValueError(f'config file {path!r} has no get_config()')
  return module


def _child(node: dict[str, Any], name: str, path: str) -> Any:
  if name not in node:
    key = f'{path}.{name}' if path else name
    raise ValueError(no_key(key, name, list(node)))
  return node[name]


def _parse(text: str, old: Any, key: str) -> Any:
  """`text` as a value of the type of `old`."""
  want = type(old)
  if isinstance(old, dict):
    raise ValueError(
      f'config key {key!r} is a section with the keys: '
      + (', '.join(sorted(old)) or 'none')
    )
  if want is str:
    return text
  if want is tuple:
    kind = type(old[0]) if old else int
    read = values.items if kind is str else LISTS[kind]
  else:
    read = READ.get(want)
  try:
    if read is None:
      raise ValueError('it can only be set in a config file')
    return read(text)
  except ValueError as e:
    raise ValueError(
      f'config key {key} = {sizes.shown(text)}: needs {want.__name__}, such as '
      f'{old!r}; {e}'
    ) from None
