"""Kernels, clocks and heats in one text: `KERNEL@CLOCK*HEAT`, `+` and `/`.

spec  = heads ('/' heads)*     layers take turns
heads = part ('+' part)*       equal shares of the heads, side by side
part  = KERNEL[:KEY=VALUE...][@CLOCK[:KEY=VALUE...]][*HEAT[:KEY=VALUE...]]
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from extrapolation import clock, heat
from extrapolation.rpe import spec as grammar

SIGNS = dict(zip('/+@*', ('-then-', '-plus-', '-at-', '-times-'), strict=True))
# A plus sign within a number, 1e+3, separates nothing.
_HEADS = re.compile(r'(?<![0-9][eE])\+')


@dataclasses.dataclass(frozen=True)
class Item:
  """A name and the hyperparameters that are given, of their types."""

  name: str
  hyper: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Part:
  """What one share of the heads of one layer has; None is the default."""

  kernel: Item
  clock: Item | None = None
  heat: Item | None = None


def is_composed(spec: str) -> bool:
  """Whether a spec is more than one kernel.

  >>> is_composed('alibi+none'), is_composed('harmonic:exponent=1e+0')
  (True, False)
  >>> is_composed('path/to/mine.py')
  False
  """
  kernel = grammar.parse(spec)[0]
  if grammar.is_file(kernel):
    return any(sign in os.path.basename(kernel) for sign in '+@*')
  return any(sign in spec for sign in '/@*') or bool(_HEADS.search(spec))


def parse(
  spec: str, defaults: Callable[[str], dict[str, Any]]
) -> tuple[tuple[Part, ...], ...]:
  """Per layer of a period, the parts side by side.

  Args:
    defaults: hyperparameters of a kernel with their default values.

  Raises:
    ValueError: an unknown name or hyperparameter, a value of another type, a
      part given twice; names the part and what there is.
  """
  layers = [_HEADS.split(layer) for layer in spec.strip().split('/')]
  return tuple(
    tuple(_part(text, spec, defaults) for text in heads) for heads in layers
  )


def write(
  layers: tuple[tuple[Part, ...], ...],
  label: Callable[[str, Mapping[str, Any]], str],
) -> str:
  """The spec in its one form, without hyperparameters that are the default.

  Args:
    label: `(kernel, hyper) -> KERNEL:KEY=VALUE:...` of a kernel.
  """

  def one(part: Part) -> str:
    text = label(part.kernel.name, part.kernel.hyper)
    if part.clock:
      text += '@' + clock.label(part.clock.name, part.clock.hyper)
    if part.heat:
      text += '*' + heat.label(part.heat.name, part.heat.hyper)
    return text

  return '/'.join('+'.join(map(one, heads)) for heads in layers)


def at_train_length(
  layers: tuple[tuple[Part, ...], ...],
  T: int,
  defaults: Callable[[str], dict[str, Any]],
  always: Callable[[str], bool],
) -> tuple[tuple[Part, ...], ...]:
  """Hyperparameters called `train_length` set to T where they are not given.

  Args:
    always: of kernels that have one: whether it is set even if no other is
      given.
  """

  def item(given: Item | None, known: Callable, every: bool) -> Item | None:
    if not given or not (every or given.hyper):
      return given
    if 'train_length' not in known(given.name):
      return given
    return Item(given.name, {'train_length': T, **given.hyper})

  def part(given: Part) -> Part:
    kernel = item(given.kernel, defaults, always(given.kernel.name))
    assert kernel
    return Part(
      kernel,
      item(given.clock, clock.defaults, True),
      item(given.heat, heat.defaults, True),
    )

  return tuple(tuple(map(part, heads)) for heads in layers)


def folder_name(label: str) -> str:
  """A label as the name of a folder.

  >>> folder_name('harmonic*log_n:whole=true')
  'harmonic-times-log_n-whole=true'
  """
  for sign, word in SIGNS.items():
    label = label.replace(sign, word)
  return re.sub(r'[^\w.=-]+', '-', label)


def _part(text: str, spec: str, defaults: Callable) -> Part:
  kernel, *rest = re.split(r'([@*])', text)
  others = {}
  rooms = {'@': ('clock', clock), '*': ('heat', heat)}
  for sign, item in zip(rest[::2], rest[1::2], strict=True):
    noun, room = rooms[sign]
    if noun in others:
      raise ValueError(f'{spec!r}: {text!r} has two of {sign}; give one {noun}')
    others[noun] = _item(item, spec, noun, room.defaults)
  return Part(_item(kernel, spec, 'encoding', defaults), **others)


def _item(text: str, spec: str, noun: str, defaults: Callable) -> Item:
  name, texts = grammar.parse(text)
  if grammar.is_file(name):
    raise ValueError(
      f'{spec!r}: {name} is a file of your own, which stands alone; a package '
      'that gives it an entry point makes it a name, see the README'
    )
  if not name:
    raise ValueError(
      f'{spec!r}: an {noun} is missing' if noun[0] in 'aeiou'
      else f'{spec!r}: a {noun} is missing'
    )  # fmt: skip
  try:
    known = defaults(name)
    return Item(name, grammar.typed(name, texts, known, noun))
  except ValueError as e:
    path = '/' in spec and not any(sign in spec for sign in '+@*')
    hint = '; a file of your own ends in .py' if path else ''
    raise ValueError(f'{spec!r}: {e}{hint}') from None
