"""A source string, as the inputs of its parts."""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator

from extrapolation.data import folder_cache
from extrapolation.data.sources import files, sample, split_names
from extrapolation.data.sources.formats import PACKINGS
from extrapolation.data.sources.inputs import SPLITS, Input
from extrapolation.data.sources.reading import WIKITEXT

FORMS = (
  f"'sample', 'stdlib', 'files:PATH' (a file, folder or glob; {PACKINGS}), "
  "'tfds:NAME', 'hf:OWNER/NAME/CONFIG', 'wikibook', "
  "'probe:NAME[:KEY=VALUE..]', 'mix:[WEIGHT*]SOURCE+[WEIGHT*]SOURCE...' or "
  "'prepared:DIR'"
)
_OWN = {'sample': sample.read, 'stdlib': files.stdlib}  # need no other name
_NAMED = {'wikibook': 'tfds:wikibook'}  # Wikipedia and books, each text once

# A '+' may be part of a path, so it separates only if a source follows it.
_PLUS = re.compile(
  r'\+(?=(?:[\d.eE-]+\*)?'
  r'(?:sample|stdlib|wikibook|files:|tfds:|hf:|mix:|probe:))'
)
_WEIGHT = re.compile(r'([\d.eE-]+)\*(?=[a-z])')


@dataclasses.dataclass(frozen=True)
class Options:
  """What a source needs to know besides its name.

  also: a cache from which what is finished is read, and nothing else.
  check: raises ValueError for files, as their digests, that are not to be read;
    it is called before anything is written.
  """

  separator: str = ''  # line between documents of files
  field: str = ''  # of the text, in a record
  splits: str = 'names'  # or 'none': names make no splits
  manual_dir: str = ''  # text of the TFDS builders
  cache: pathlib.Path = dataclasses.field(default_factory=folder_cache.root)
  also: pathlib.Path | None = None
  check: Callable[[str, Iterable[dict]], None] = lambda source, read: None


@dataclasses.dataclass(frozen=True)
class Part:
  """One corpus of a mixture.

  weight: its share of the training windows; 0 reads each text once an epoch.
  separator: between its documents, see `reading.documents`.
  field: of the text, in its records.
  why: its inputs have the splits they have; left_out: (name, why) of files that
    are no text.
  origin, made_of: digests and paths of the files that its inputs were made of,
    where they are not the inputs.
  elsewhere: splits that another source was named for.
  """

  source: str
  inputs: tuple[Input, ...]
  weight: float = 0.0
  separator: str = ''
  origin: tuple[dict, ...] = ()
  elsewhere: frozenset[str] = frozenset()
  made_of: tuple[pathlib.Path, ...] = ()
  field: str = ''
  why: str = ''
  left_out: tuple[tuple[str, str], ...] = ()

  def read(self) -> tuple[pathlib.Path, ...]:
    """The user's own files, or folders of TFDS."""
    return self.made_of or tuple(i.path for i in self.inputs)


def parts(
  source: str, valid: str = '', test: str = '', options: Options | None = None
) -> list[Part]:
  """The parts of a source, each input with the split it was given for.

  `valid` and `test` are sources of their own and replace what `source` has of
  that split. A split that a part is not given is held out of it later.

  Raises:
    ValueError: no such source or weight, or a separator of no part.
    OSError: text that is not there; says where to get it.
  """
  options = options or Options()
  corpora = _mixture(source, options)
  for split, other in (('valid', valid), ('test', test)):
    if not other:
      continue
    corpora = [
      dataclasses.replace(
        part,
        inputs=tuple(i for i in part.inputs if i.split != split),
        elsewhere=part.elsewhere | {split},
      )
      for part in corpora
    ]
    for part in _mixture(other, options):
      # Another corpus may have splits too, and then only this one is meant.
      own = [i for i in part.inputs if i.split == split] or part.inputs
      own = tuple(dataclasses.replace(i, split=split) for i in own)
      corpora.append(
        dataclasses.replace(
          part, inputs=own, weight=0.0, why=f'given as data.{split}'
        )
      )
  corpora = [part for part in corpora if part.inputs]
  own = sorted({part.separator for part in corpora})
  if options.separator and options.separator not in own:
    raise ValueError(
      f'data.separator = {options.separator!r} is of no use: {source} has '
      f'documents of its own, separated by {" and ".join(map(repr, own))}; '
      'leave it empty'
    )
  return corpora


def lines(part: Part) -> Iterator[str]:
  """What a part is read as: a line for each split, and for the rest."""
  for split in dict.fromkeys(i.split for i in part.inputs):
    names = [i.name for i in part.inputs if i.split == split]
    yield (
      f'{split:5} <- {len(names):,} file{"s" * (len(names) > 1)} of '
      f'{part.source}: {split_names.some(names)} ({part.why})'
    )
  if rest := held_out(part):
    yield f'{" and ".join(rest)} are held out of train, 5 % each'
  if part.left_out:
    names = [f'{name} ({why})' for name, why in part.left_out]
    yield f'      left out: {split_names.some(names)}'


def held_out(part: Part) -> list[str]:
  """Splits that a part has no files of, and that are held out of train."""
  there = {i.split for i in part.inputs}
  return [s for s in SPLITS if s not in there | part.elsewhere] * (
    'train' in there
  )


def _mixture(source: str, options: Options) -> list[Part]:
  source = _NAMED.get(source, source)
  if not source.startswith('mix:'):
    return [_part(source, options)]
  weights, corpora = [], []
  for weight, text in weighted(source):
    weights.append(weight)
    if text.startswith('mix:'):
      raise ValueError(f'{source}: a mixture cannot hold another one')
    corpora.append(_part(_NAMED.get(text, text), options))
  if 0 in weights and any(weights):
    raise ValueError(
      f'{source}: give every part a weight, or none (each text once an epoch)'
    )
  total = sum(weights) or 1.0
  for i, part in enumerate(corpora):
    if 'train' not in {i.split for i in part.inputs}:
      raise ValueError(
        f'{part.source} has no train split, which a part of a mixture needs'
      )
    corpora[i] = dataclasses.replace(part, weight=weights[i] / total)
  return corpora


def weighted(source: str) -> list[tuple[float, str]]:
  """Weight and source of each part of a `mix:` source; 0.0 if none is given.

  >>> weighted('mix:0.2*probe:needle+0.8*files:a+b.txt')
  [(0.2, 'probe:needle'), (0.8, 'files:a+b.txt')]

  Raises:
    ValueError: a weight that is none.
  """
  parts = []
  for text in _PLUS.split(source.removeprefix('mix:')):
    given = _WEIGHT.match(text)
    weight = _weight(given[1], source) if given else 0.0
    parts.append((weight, text[given.end() :] if given else text))
  return parts


def _weight(text: str, source: str) -> float:
  try:
    weight = float(text)
  except ValueError:
    weight = 0.0
  if not 0 < weight < float('inf'):
    raise ValueError(f'{source}: weight {text} must be a number above 0')
  return weight


def _part(source: str, options: Options) -> Part:
  kind, colon, rest = source.partition(':')
  separator, origin, made_of = options.separator, (), ()
  why, left_out = 'its own splits', ()
  if source in _OWN or (kind == 'files' and colon):
    own = _OWN.get(source)
    reading = own() if own else files.read(rest, options.splits != 'none')
    inputs, why, left_out = reading.inputs, reading.why, reading.left_out
    separator = reading.separator or separator
  elif kind == 'tfds' and colon:
    from extrapolation.data.sources import tfds_builders

    inputs, origin, made_of = tfds_builders.inputs(
      rest, options.manual_dir, options.cache, options.also, options.check
    )
  elif kind == 'hf' and colon:
    from extrapolation.data.sources import huggingface

    inputs = huggingface.inputs(rest, options.cache)
    separator = separator or (WIKITEXT if 'wikitext' in rest.lower() else '')
  else:
    path = pathlib.Path(source).expanduser()
    hint = f'; did you mean files:{source}?' if path.exists() else ''
    raise ValueError(f'no text source {source!r}; write {FORMS}{hint}')
  return Part(
    source,
    tuple(inputs),
    separator=separator,
    origin=origin,
    made_of=made_of,
    field=options.field,
    why=why,
    left_out=left_out,
  )
