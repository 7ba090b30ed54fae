"""Encodings of installed packages: entry points of the group extrapolation.rpe.

`mine = package.module`, with make(H, ..) in the module, or
`mine = package.module:make`. Who installed the package trusts it, as he does
this one: a run may name it as it names any encoding.
"""

import functools
import logging
import re
import types
from collections.abc import Callable
from importlib import metadata

log = logging.getLogger(__name__)

GROUP = 'extrapolation.rpe'


@functools.cache
def installed(packaged: tuple[str, ...]) -> dict[str, metadata.EntryPoint]:
  """The entry points by name, but for names in `packaged`, which stay ours.

  Raises:
    ValueError: two packages have an encoding of one name.
  """
  out: dict[str, metadata.EntryPoint] = {}
  for point in metadata.entry_points(group=GROUP):
    if not re.fullmatch(r'[A-Za-z]\w*', point.name):
      log.warning(
        'encoding %r of %s is left out: its name needs letters, digits and _',
        point.name, package(point),
      )  # fmt: skip
    elif point.name in packaged:
      log.warning(
        'encoding %r of %s is left out: there is one of that name',
        point.name, package(point),
      )  # fmt: skip
    elif out.setdefault(point.name, point).value != point.value:
      raise ValueError(
        f'two packages have an encoding {point.name!r}: '
        f'{package(out[point.name])} and {package(point)}; uninstall one'
      )
  return out


def package(point: metadata.EntryPoint) -> str:
  """The name and version of the package that an entry point is of."""
  return f'{point.dist.name} {point.dist.version}' if point.dist else '?'


def make(point: metadata.EntryPoint) -> Callable | None:
  """The function `make` of an entry point; None where its module has none."""
  there = point.load()
  if isinstance(there, types.ModuleType):
    return getattr(there, 'make', None)
  return there
