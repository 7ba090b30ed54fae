"""An input as a stream of documents."""

import io
import re
from collections.abc import Iterator

from extrapolation.data.sources import formats, inputs
from extrapolation.data.sources.formats import BLANK
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.record_files import Skipped
from extrapolation.data.sources.unpacking import Budget

WIKITEXT = 'wikitext'  # a separator that stands for article titles
EMPTY = 'blank'  # one that stands for lines of nothing but spaces

_TITLE = re.compile(rb' = [^=\n].* = \r?\n')


def _blank(line: bytes) -> bool:
  return line.replace(b'\r\n', b'\n') == BLANK


_HEAD = (_blank, _TITLE.fullmatch, _blank)  # an article's first lines


def documents(
  entry: Input,
  separator: str,
  budget: Budget | None = None,
  field: str = '',
  skipped: Skipped | None = None,
) -> Iterator[bytes | None]:
  """Text of one input in blocks of about 1 MiB; None ends each document.

  Without a separator a file of text is one document, and so is each record of
  other files. A line that is exactly `separator` ends a document and belongs to
  none, and so do blank lines for 'blank'; 'wikitext' starts one at every
  article, a line ` = Title = ` between blank ones. Lines may end in CRLF.
  budget, field, skipped: see `formats.blocks`.

  Raises:
    ValueError: as `formats.blocks`.
  """
  are_lines = separator == WIKITEXT
  blocks = formats.blocks(entry, are_lines, budget, field, skipped)
  if separator == WIKITEXT:
    yield from _split_at_titles(_lines(blocks))
  elif separator:
    yield from _split_at(separator.encode(), _lines(blocks))
  else:
    yield from blocks


def whole_documents(
  entry: Input, separator: str, most: int, budget: Budget | None = None
) -> Iterator[bytes]:
  """Documents of one input, each in one piece; empty ones left out.

  Raises:
    ValueError: one of more than `most` bytes, or as `documents`.
  """
  blocks, length = [], 0
  for block in documents(entry, separator, budget):
    if block is None:
      if blocks:
        yield b''.join(blocks)
      blocks, length = [], 0
      continue
    blocks.append(block)
    length += len(block)
    if length > most:
      raise ValueError(
        f'{entry.path} holds a document of more than {most:,} bytes, too much '
        f'for a record; split it by lines {separator}, or read files:PATH'
      )


def _split_at(
  separator: bytes, lines: Iterator[bytes | None]
) -> Iterator[bytes | None]:
  """None in place of every line that is `separator`."""
  at_start = True  # of a line: a long one comes in several
  blank = separator == EMPTY.encode()
  for line in lines:
    ends = at_start and line and line.rstrip(b'\r\n') == separator
    if blank and line:
      ends = at_start and line.endswith(b'\n') and not line.strip()
    yield None if ends else line
    at_start = line is None or line.endswith(b'\n')


def _split_at_titles(
  lines: Iterator[bytes | None],
) -> Iterator[bytes | None]:
  """None before the three lines that start an article."""
  pending: list[bytes] = []  # may be the head of the next article
  for line in lines:
    if line is None:
      yield from pending
      pending = []
      yield None
      continue
    pending.append(line)
    if len(pending) == len(_HEAD) and _may_be_head(pending):
      yield None
      yield from pending[:2]
      del pending[:2]
    while pending and not _may_be_head(pending):
      yield pending.pop(0)
  yield from pending


def _may_be_head(lines: list[bytes]) -> bool:
  return all(is_so(line) for is_so, line in zip(_HEAD, lines, strict=False))


def _lines(blocks: Iterator[bytes | None]) -> Iterator[bytes | None]:
  """The same text by lines; what is longer than a block stays in pieces."""
  rest = b''
  for block in blocks:
    if block is None:
      if rest:
        yield rest
      rest = b''
      yield None
      continue
    lines = io.BytesIO(rest + block).readlines()
    rest = b''
    if not lines[-1].endswith(b'\n') and len(lines[-1]) < inputs.BLOCK:
      rest = lines.pop()
    yield from lines
  if rest:
    yield rest
