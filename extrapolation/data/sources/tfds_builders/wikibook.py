"""WikiBook: Wikipedia and books, read together."""

import dataclasses
import pathlib
from collections.abc import Iterator

from extrapolation.data.sources.inputs import SPLITS, Input
from extrapolation.data.sources.tfds_builders import (
  _text,
  books,
  wikitext2,
  wikitext103,
)

_WIKIPEDIA = ('wikipedia', 'wikitext103', 'wikitext2')  # the first with train
_OF = {'wikitext103': wikitext103.Wikitext103, 'wikitext2': wikitext2.Wikitext2}


class Wikibook(_text.Text):
  """Wikipedia and books, each text once, mixed in proportion to their size.

  The folder of files has two of its own: `wikipedia`, `wikitext103` or
  `wikitext2`, the first that has text to train on, and `books`.
  """

  FROM = (
    f'It needs a folder {", ".join(_WIKIPEDIA[:2])} or {_WIKIPEDIA[2]} with '
    'text to train on, and one called books. Wikipedia comes from the Hugging '
    'Face Hub as wikimedia/wikipedia, and from TFDS as wikipedia or wiki40b. '
    f'{wikitext103.Wikitext103.FROM}. {books.Books.FROM}'
  )

  @classmethod
  def texts(cls, manual: pathlib.Path) -> list[tuple[str, Input]]:
    for name in _WIKIPEDIA:
      if (manual / name).is_dir():
        wikipedia = _inside(manual, name, _OF.get(name, _text.Text))
        if _has(wikipedia, 'train'):
          break
    else:
      raise FileNotFoundError(
        f'tfds:{cls.name}: no Wikipedia to train on in {manual}. {cls.FROM}'
      )
    if not (manual / 'books').is_dir():
      raise FileNotFoundError(
        f'tfds:{cls.name}: no folder books in {manual}. {cls.FROM}'
      )
    prose = _inside(manual, 'books', books.Books)
    for split in SPLITS:
      if _has(wikipedia, split) != _has(prose, split):
        lacks = 'books' if _has(wikipedia, split) else name
        raise ValueError(
          f'tfds:{cls.name}: {manual}/{lacks} has no split {split}, but the '
          'other part has; give both or none'
        )
    return wikipedia + prose

  def documents(self, texts: list[tuple[str, Input]]) -> Iterator[bytes]:
    """Next comes the corpus of which the smaller share has been read."""
    corpora = {}
    for text in texts:
      corpora.setdefault(text[1].name.split('/')[0], []).append(text)
    total = {k: sum(i.size() for _, i in v) for k, v in corpora.items()}
    ahead = {k: super(Wikibook, self).documents(v) for k, v in corpora.items()}
    read = dict.fromkeys(ahead, 0)
    while ahead:
      name = min(ahead, key=lambda k: read[k] / max(total[k], 1))
      document = next(ahead[name], None)
      if document is None:
        del ahead[name]
      else:
        read[name] += len(document)
        yield document


def _inside(
  manual: pathlib.Path, name: str, builder: type[_text.Text]
) -> list[tuple[str, Input]]:
  return [
    (separator, dataclasses.replace(i, name=f'{name}/{i.name}'))
    for separator, i in builder.texts(manual / name)
  ]


def _has(texts: list[tuple[str, Input]], split: str) -> bool:
  return any(i.split == split for _, i in texts)


Builder = Wikibook
