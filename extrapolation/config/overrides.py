"""Config files, and `--config.SECTION.KEY=VALUE` on top of them."""

import importlib.util
import pathlib
import sys
import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ml_collections import ConfigDict

from extrapolation import rpe
from extrapolation.cli import values
from extrapolation.config import config_files, sizes, spaces, user_files
from extrapolation.config.experiment import (
  Experiment,
  base,
  from_dict,
  kind_in,
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
  Files of the user's own that hold encodings are run as well (`rpe.load`): who
  gives a config names them.

  Raises:
    ValueError: no such file or key, or a value of another type or out of
      range; the message names the key and what there is.
  """
  path, arg = config_files.find(spec)
  tree = _tree(_module(path).get_config(*([arg] if arg else [])))
  overrides = overrides or {}
  listed = overrides.get('sweep.rpe', tree['sweep']['rpe'])
  user_files.load(
    overrides.get('model.rpe', tree['model']['rpe']),
    *(values.items(listed) if isinstance(listed, str) else ()),
  )
  return _overridden(tree, overrides)


def override(
  c: ConfigDict | Experiment, overrides: Mapping[str, str]
) -> Experiment:
  """`c` with string values set, each parsed to the type that its key has.

  Another encoding begins with its own default hyperparameters.

  Raises:
    ValueError: as `load`.
  """
  return _overridden(_tree(c), overrides)


def _tree(c: ConfigDict | Experiment) -> dict[str, Any]:
  return c.to_dict() if isinstance(c, Experiment) else _values(c)


def _overridden(
  tree: dict[str, Any], overrides: Mapping[str, str]
) -> Experiment:
  overrides = _encoding(tree, overrides)
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


def _encoding(
  tree: dict[str, Any], overrides: Mapping[str, str]
) -> dict[str, str]:
  """The overrides, with those of `model.rpe` = KERNEL:KEY=VALUE:... by key.

  The model's part of `tree` becomes that of the encoding, with its defaults.
  """
  model, overrides = tree['model'], dict(overrides)
  spec = overrides.pop('model.rpe', model['rpe'])
  if not isinstance(spec, str):
    raise ValueError(f'config key model.rpe = {sizes.shown(spec)}: needs str')
  T = _train_length(tree, overrides)
  args = 'model.rpe_args.'
  known = {k.removeprefix(args) for k in overrides if k.startswith(args)}
  if rpe.parse(spec)[0] == model['rpe']:
    known |= {*model['rpe_args']}
  spec = rpe.at_train_length(spec, T, known)
  kernel, hyper = rpe.parse(spec)
  if kernel != model['rpe']:  # what is there was of another encoding
    known = section(tree['sweep'].get('files', {}), 'sweep.files')
    model.update(rpe_args={}, rpe_file=known.get(kernel, {}))
  about = user_files.record('model.rpe_file', kernel, model['rpe_file'])
  defaults = about['defaults'] if about else rpe.defaults(kernel)
  model.update(rpe=kernel, rpe_args={**defaults, **model['rpe_args']})
  for key, text in hyper.items():
    key = f'model.rpe_args.{key}'
    if overrides.setdefault(key, text) != text:
      raise ValueError(
        f'model.rpe = {sizes.shown(spec)} and {key} = '
        f'{sizes.shown(overrides[key])}: two values; give one'
      )
  for key in overrides:
    if key.startswith(('model.rpe_file', 'sweep.files')):
      raise ValueError(f'config key {key}: it is read from the file itself')
  return overrides


def _train_length(tree: Mapping[str, Any], overrides: Mapping[str, str]) -> int:
  """In tokens, or in the places of an encoder's training size."""

  def value(key: str) -> Any:
    part, leaf = key.split('.')
    old = tree[part][leaf]
    return _parse(overrides[key], old, key) if key in overrides else old

  T = value('train.T')
  if value('model.kind') == 'decoder':
    return T
  of = {f.name: value(f'model.{f.name}') for f in fields(spaces.Space)}
  try:
    return spaces.positions(spaces.Space(**of), value('train.size'))
  except (AttributeError, TypeError, ValueError):  # told where all is read
    return T


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
  # So that a config can import others: `from configs import demo`.
  above = pathlib.Path(path).absolute().parents
  roots = [f.parent for f in above if f.name == 'configs']
  root = str(roots[0] if roots else above[0].parent)
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
    kind = type(old[0]) if old else kind_in(key)
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
