"""Where text comes from: a source string, as the inputs of its parts."""

import dataclasses
import pathlib
import re

from extrapolation.data import cache as caches
from extrapolation.data import files
from extrapolation.data.reading import PACKINGS, SPLITS, WIKITEXT, Input

FORMS = (
  f"'stdlib', 'files:PATH' (a file, folder or glob; {PACKINGS}), "
  "'tfds:NAME', 'hf:OWNER/NAME/CONFIG', 'wikibook', "
  "'mix:[WEIGHT*]SOURCE+[WEIGHT*]SOURCE...' or 'prepared:DIR'"
)
NAMED = {'wikibook': 'tfds:wikibook'}  # Wikipedia and books, each text once

# A '+' may be part of a path, so it parts only what is followed by a source.
_PLUS = re.compile(
  r'\+(?=(?:[\d.eE-]+\*)?(?:stdlib|wikibook|files:|tfds:|hf:|mix:))'
)
_WEIGHT = re.compile(r'([\d.eE-]+)\*(?=[a-z])')


@dataclasses.dataclass(frozen=True)
class Place:
  """What a source needs to know besides its name."""

  separator: str = ''  # line between documents of files
  manual_dir: str = ''  # text of the TFDS builders
  cache: pathlib.Path = dataclasses.field(default_factory=caches.root)


@dataclasses.dataclass(frozen=True)
class Part:
  """One corpus of a mixture.

  weight: its share of the training windows; 0 reads each text once an epoch.
  separator: parts its documents, see `reading.documents`.
  origin: files that its inputs were made of, where they are not the inputs.
  elsewhere: splits that another source was named for.
  """

  source: str
  inputs: tuple[Input, ...]
  weight: float = 0.0
  separator: str = ''
  origin: tuple[dict, ...] = ()
  elsewhere: frozenset = frozenset()


def parts(
  source: str, valid: str = '', test: str = '', place: Place | None = None
) -> list[Part]:
  """The parts of a source, each input with the split it was given for.

  `valid` and `test` are sources of their own and replace what `source` has of
  that split. A split that a part is not given is held out of it later.
  """
  place = place or Place()
  found = _mixture(source, place)
  for split, other in (('valid', valid), ('test', test)):
    if not other:
      continue
    found = [
      dataclasses.replace(
        p,
        inputs=tuple(i for i in p.inputs if i.split != split),
        elsewhere=p.elsewhere | {split},
      )
      for p in found
    ]
    for part in _mixture(other, place):
      # Another corpus may have splits too, and then only this one is meant.
      own = [i for i in part.inputs if i.split == split] or part.inputs
      own = tuple(dataclasses.replace(i, split=split) for i in own)
      found.append(dataclasses.replace(part, inputs=own, weight=0.0))
  return [part for part in found if part.inputs]


def _mixture(source: str, place: Place) -> list[Part]:
  source = NAMED.get(source, source)
  if not source.startswith('mix:'):
    return [_part(source, place)]
  weights, found = [], []
  for text in _PLUS.split(source.removeprefix('mix:')):
    given = _WEIGHT.match(text)
    weights.append(_weight(given[1], source) if given else 0.0)
    text = text[given.end() :] if given else text
    if text.startswith('mix:'):
      raise ValueError(f'{source}: a mixture cannot hold another one')
    found.append(_part(NAMED.get(text, text), place))
  if 0 in weights and any(weights):
    raise ValueError(
      f'{source}: give every part a weight, or none (each text once an epoch)'
    )
  total = sum(weights) or 1.0
  for i, part in enumerate(found):
    if 'train' not in {i.split for i in part.inputs}:
      raise ValueError(
        f'{part.source} has no train split, which a part of a mixture needs'
      )
    found[i] = dataclasses.replace(part, weight=weights[i] / total)
  return found


def _weight(text: str, source: str) -> float:
  try:
    weight = float(text)
  except ValueError:
    weight = 0.0
  if not 0 < weight < float('inf'):
    raise ValueError(f'{source}: weight {text} must be a number above 0')
  return weight


def _part(source: str, place: Place) -> Part:
  kind, colon, rest = source.partition(':')
  if source == 'stdlib':
    return Part(source, tuple(files.stdlib()), separator=place.separator)
  if kind == 'files' and colon:
    return Part(source, tuple(files.inputs(rest)), separator=place.separator)
  if kind == 'tfds' and colon:
    from extrapolation.data import builders

    found, origin = builders.inputs(rest, place.manual_dir, place.cache)
    return Part(source, found, separator=place.separator, origin=origin)
  if kind == 'hf' and colon:
    from extrapolation.data import hub

    lines = WIKITEXT if 'wikitext' in rest.lower() else ''
    return Part(
      source,
      hub.inputs(rest, place.cache),
      separator=place.separator or lines,
    )
  path = pathlib.Path(source).expanduser()
  hint = f'; did you mean files:{source}?' if path.exists() else ''
  raise ValueError(f'no text source {source!r}; write {FORMS}{hint}')


__all__ = ['FORMS', 'NAMED', 'SPLITS', 'Input', 'Part', 'Place', 'parts']
