"""A whole config as one frozen, hashable object, and as a plain dictionary."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from immutabledict import immutabledict
from ml_collections import ConfigDict

from extrapolation.config import sizes, spaces
from extrapolation.config.sections import (
  Data,
  Eval,
  Model,
  Optim,
  Parallel,
  Sweep,
  Train,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
  """All that a run, its evaluation and its sweep are made of.

  Equal experiments are equal keys: what is compiled for one section is found
  again by that section.
  """

  seed: int = 0
  data: Data = dataclasses.field(default_factory=Data)
  model: Model = dataclasses.field(default_factory=Model)
  optim: Optim = dataclasses.field(default_factory=Optim)
  train: Train = dataclasses.field(default_factory=Train)
  parallel: Parallel = dataclasses.field(default_factory=Parallel)
  eval: Eval = dataclasses.field(default_factory=Eval)
  sweep: Sweep = dataclasses.field(default_factory=Sweep)

  def __post_init__(self):
    sizes.check('seed', self.seed)
    sizes.check('optim.warmup', self.optim.warmup)
    m = self.model
    self._read_sizes()
    if m.kind != 'decoder' and self.parallel.seq > 1:
      raise ValueError(
        f'parallel.seq = {self.parallel.seq} spreads the tokens of a decoder; '
        f'model.kind = {m.kind} takes parallel.seq=1: spread sequences by '
        'parallel.data'
      )
    t = self.train
    sizes.check_products(m.N, m.D, m.F, self.data.vocab, t.B, t.T)
    if not 0 <= self.optim.warmup <= self.train.steps:
      raise ValueError(
        f'optim.warmup = {self.optim.warmup}: needs 0 <= warmup <= '
        f'train.steps = {self.train.steps}'
      )

  def _read_sizes(self) -> None:
    """Fills in the positions that sizes have, of what is no decoder."""
    m, train, e = self.model, self.train, self.eval
    if m.kind == 'decoder':
      spaces.check_none(train.size, e.sizes)
      return
    asked = e.sizes or (train.size,)
    T, lengths = spaces.lengths(m, train.size, asked, e.probe)
    if train.T not in (T, Train().T):
      raise ValueError(
        f'train.T = {train.T}, and train.size = {train.size} has {T} places: '
        'leave train.T out, which follows from the size'
      )
    of_size = dataclasses.replace(train, T=T)
    object.__setattr__(self, 'train', of_size)
    of_sizes = dataclasses.replace(e, sizes=asked, lengths=lengths)
    object.__setattr__(self, 'eval', of_sizes)

  def to_dict(self) -> dict[str, Any]:
    """Nested dictionaries of plain values, as a config file has them."""
    return _plain(self)


def from_dict(values: Mapping[str, Any]) -> Experiment:
  """The experiment of nested dictionaries; what is absent is the default.

  Raises:
    ValueError: a key that does not exist, a value of another type than its
      key has, or one out of range; names it, and what there is.
  """
  return _section(Experiment, values, '')


def base() -> ConfigDict:
  """The paper's base model and recipe; every config file starts here.

  Sizes: arXiv 2307.10156's 44.65 M parameter model. Optimisation: the same
  group's published recipe, on 8 GPUs. `config/sections.py` explains each key;
  see `configs/` for what runs where.
  """
  values = Experiment().to_dict()
  values['model']['rpe_args'] = {}  # of whichever encoding is chosen
  return ConfigDict(values)


def differences(old: Mapping, new: Mapping, prefix: str = '') -> list[str]:
  """One line for each key whose value differs: `key: old -> new`."""
  lines = []
  for key in sorted({*old, *new}):
    a, b = old.get(key, '(absent)'), new.get(key, '(absent)')
    if isinstance(a, Mapping) and isinstance(b, Mapping):
      lines += differences(a, b, f'{prefix}{key}.')
    elif a != b:
      lines.append(f'{prefix}{key}: {a!r} -> {b!r}')
  return lines


def no_key(key: str, leaf: str, there: list[str]) -> str:
  """The error for a key that does not exist, with the nearest that does."""
  close = difflib.get_close_matches(leaf[:80], there, 1)
  hint = f' (did you mean {close[0]!r}?)' if close else ''
  known = ', '.join(there) or 'none'
  return f'no config key {sizes.shown(key)}{hint}; there are: {known}'


def section(value: Any, key: str) -> Mapping[str, Any]:
  """`value`, which must be the keys and values of a section."""
  if not isinstance(value, Mapping):
    name = f'config key {key!r}' if key else 'a config'
    raise ValueError(
      f'{name} = {sizes.shown(value)} is no section: it needs keys and values'
    )
  if odd := [k for k in value if not isinstance(k, str)]:
    raise ValueError(f'config key {sizes.shown(odd[0])}: needs text')
  return value


def kind_in(key: str) -> type:
  """Of the values in a tuple that a key of a section holds, empty or not.

  >>> kind_in('eval.sizes'), kind_in('eval.lengths')
  (<class 'str'>, <class 'int'>)
  """
  want: Any = Experiment
  for part in key.split('.'):
    want = typing.get_type_hints(want)[part]
  return typing.get_args(want)[0]


def _plain(value: Any) -> Any:
  if dataclasses.is_dataclass(value):
    fields = dataclasses.fields(value)
    return {f.name: _plain(getattr(value, f.name)) for f in fields}
  if isinstance(value, Mapping):
    return {k: _plain(v) for k, v in value.items()}
  return value


def _frozen(value: Any) -> Any:
  if isinstance(value, Mapping):
    return immutabledict({k: _frozen(v) for k, v in value.items()})
  return value


def _section(cls: type, values: Any, prefix: str) -> Any:
  hints = typing.get_type_hints(cls)
  fields = {}
  for key, value in section(values, prefix[:-1]).items():
    if key not in hints:
      raise ValueError(no_key(prefix + key, key, list(hints)))
    want = hints[key]
    if dataclasses.is_dataclass(want):
      fields[key] = _section(want, value, f'{prefix}{key}.')
    else:
      fields[key] = _typed(want, value, prefix + key)
  return cls(**fields)


def _typed(want: Any, value: Any, key: str) -> Any:
  """`value` as the type that its field declares."""
  kind = typing.get_origin(want) or want
  if kind is float and type(value) is int and abs(value) < 1e300:
    value = float(value)
  elif kind is tuple and isinstance(value, list):  # JSON knows no tuples
    value = tuple(value)
  elif kind is Mapping and isinstance(value, Mapping):
    value = _frozen(section(value, key))
  if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    raise ValueError(
      f'config key {key} = {sizes.shown(value)}: needs {kind.__name__}, '
      f'got {type(value).__name__}'
    )
  if kind is tuple:
    inner = typing.get_args(want)[0]
    value = tuple(_typed(inner, x, key) for x in value)
  return value
