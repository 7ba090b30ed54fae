"""JSON that carries a digest of itself, so that what was altered is found.

The digest guards against disks, copies and slips of an editor; it is no
signature, and proves nothing of who wrote a file.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from extrapolation.output import files, plain_file

KEY = 'digest'


class Damaged(ValueError):
  """A file does not hold what was written; the text names it."""


def digest(body: Any) -> str:
  """16 hex digits of the SHA-256 of a value as JSON, keys in their order."""
  return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]


def sign(body: Mapping[str, Any]) -> dict[str, Any]:
  """The body with its digest as the last key, in place of any it has."""
  rest = _rest(body)
  return rest | {KEY: digest(rest)}


def altered(body: Mapping[str, Any]) -> bool:
  """Whether the digest that a body carries is of something else."""
  return KEY in body and body[KEY] != digest(_rest(body))


def _rest(body: Mapping[str, Any]) -> dict[str, Any]:
  return {key: value for key, value in body.items() if key != KEY}


def check(body: dict, where: str) -> dict:
  """The body without its digest; one without is taken as it is.

  Files of before there were digests, and those that people write, have none.

  Raises:
    Damaged: the digest is of something else.
  """
  if altered(body):
    raise Damaged(
      f'{where} was altered or damaged after it was written (its {KEY!r} does '
      f'not fit): restore it; if the change is meant, remove its {KEY!r}'
    )
  return _rest(body)


def parse(text: str | bytes, where: str) -> dict:
  """A JSON object, checked.

  Raises:
    Damaged: it is none, or altered; one line that begins with `where`.
  """
  try:
    body = json.loads(text, object_pairs_hook=_once)
  except plain_file.PARSE_ERRORS as e:
    why = plain_file.brief(e)
    raise Damaged(f'{where} is not JSON ({why}): restore it') from None
  if not isinstance(body, dict):
    raise Damaged(
      f'{where} holds {type(body).__name__}, not an object {{...}}: restore it'
    )
  return check(body, where)


def write(path: str | os.PathLike, body: dict) -> None:
  """An atomic write of the body with its digest."""
  files.write_json(path, sign(body))


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
  body = dict(items)
  if len(body) < len(items):
    names = [name for name, _ in items]
    twice = next(name for name in names if names.count(name) > 1)
    raise ValueError(f'the key {twice[:40]!r} is there twice')
  return body


def read(path: str | os.PathLike) -> dict:
  """The body of a file that `write` wrote, or that has no digest.

  Raises:
    Damaged: it is not what was written, in one line that names it.
    OSError: it cannot be read.
  """
  return parse(plain_file.read(path), str(path))
