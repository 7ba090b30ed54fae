"""The text that a run began with, and whether other text is the same."""

import dataclasses
import platform
from collections.abc import Iterable, Mapping
from typing import Any

from extrapolation.output import plain_file


@dataclasses.dataclass(frozen=True)
class Expected:
  """What `prepare` may read: digests of an earlier manifest.

  inputs: sha256 of each file that was read, sorted; tokens: split -> sha256 of
  its tokens; tokenizer: its name; python: the version that read it.
  """

  inputs: tuple[str, ...]
  tokens: Mapping[str, str]
  tokenizer: str
  python: str

  @classmethod
  def of(cls, manifest: Mapping[str, Any]) -> 'Expected':
    """The digests in a manifest; ValueError if it has none."""
    try:
      made = cls(
        tuple(sorted(i['sha256'] for i in manifest['inputs'])),
        {s: about['tokens_sha256'] for s, about in manifest['splits'].items()},
        manifest['tokenizer']['name'],
        manifest['python'],
      )
      digests = [*made.inputs, *made.tokens.values(), made.tokenizer]
      if not made.tokens or not all(isinstance(d, str) for d in digests):
        raise TypeError('no digests of inputs and splits')
    except plain_file.PARSE_ERRORS as error:
      raise ValueError(
        'the manifest of the text that is expected (data.json of a run) is '
        f'damaged ({plain_file.brief(error)}); restore it'
      ) from None
    return made

  def check_inputs(
    self, source: str, read: Iterable[Mapping[str, Any]], whole: bool = False
  ) -> None:
    """Raises ValueError if a file is none of those; `whole`: or one lacks."""
    read = list(read)
    for entry in read:
      if entry['sha256'] not in self.inputs:
        raise self._other(source, f'{entry["name"]} has changed, or is new')
    if whole and tuple(sorted(i['sha256'] for i in read)) != self.inputs:
      raise self._other(source, 'some of its files are gone')

  def check(self, manifest: Mapping[str, Any]) -> None:
    """Raises ValueError unless a prepared corpus has the same tokens."""
    if difference := self.difference(manifest):
      raise self._other(manifest.get('source', 'its source'), difference)

  def difference(self, manifest: Mapping[str, Any]) -> str:
    """What a prepared corpus has otherwise; '' if it is the same."""
    if (name := manifest['tokenizer']['name']) != self.tokenizer:
      return f'it is read as tokens of {name}, not of {self.tokenizer}'
    for split, digest in self.tokens.items():
      now = manifest['splits'].get(split, {'tokens_sha256': 'absent'})
      if now['tokens_sha256'] != digest:
        return f'its {split} split has changed'
    return ''

  def _other(self, source: str, why: str) -> ValueError:
    return ValueError(
      f'the text of {source} is not the one that was read at first: {why} '
      f'(Python {self.python} then, {platform.python_version()} now); restore '
      'it, or train in another --workdir'
    )
