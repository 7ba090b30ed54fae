"""`sample`: books of the public domain, the same bytes on every machine.

One file per split, packed with xz; lines of SEPARATOR separate its books.
No author is in two splits. `catalog.json` names the books, their authors and
years, and where their text comes from.
"""

import json
import pathlib
from typing import Any

from extrapolation.data.sources.files import Reading
from extrapolation.data.sources.inputs import SPLITS, Input

SEPARATOR = '<|endoftext|>'
FOLDER = pathlib.Path(__file__).parent


def catalog() -> list[dict[str, Any]]:
  """The books in the order of their text: split, author, title, bytes, .."""
  return json.loads((FOLDER / 'catalog.json').read_text('utf-8'))['books']


def read() -> Reading:
  """The packaged sample.

  Raises:
    FileNotFoundError: the package was installed without it.
  """
  inputs = []
  for split in SPLITS:
    path = FOLDER / f'{split}.txt.xz'
    if not path.is_file():
      raise FileNotFoundError(
        f'sample: {path} is missing; install the package again, or write '
        'files:PATH'
      )
    inputs.append(Input(path.name, path, split))
  why = 'books of the public domain, other authors in each split'
  return Reading(tuple(inputs), why, separator=SEPARATOR)
