"""JSON that carries a digest of itself, so that what was altered is found.

The digest guards against disks, copies and slips of an editor; it is no
signature, and proves nothing of who wrote a file.
"""

import hashlib
import json
import os
from typing import Any

from etils import epath

from extrapolation.output import files

KEY = 'digest'


class Damaged(ValueError):
  """A file does not hold what was written; the text names it."""


def digest(body: Any) -> str:
  """16 hex digits of the SHA-256 of a value as JSON, keys in their order."""
  return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]


def sign(body: dict) -> dict:
  """The body with its digest as the last key."""
  return body | {KEY: digest(body)}


def check(body: dict, where: str) -> dict:
  """The body without its digest; one without is taken as it is.

  Files of before there were digests, and those that people write, have none.

  Raises:
    Damaged: the digest is of something else.
  """
  body = dict(body)
  said = body.pop(KEY, None)
  if said is not None and said != digest(body):
    raise Damaged(
      f'{where} was altered or damaged after it was written (its {KEY!r} does '
      f'not fit): restore it; if the change is meant, remove its {KEY!r}'
    )
  return body


def parse(text: str | bytes, where: str) -> dict:
  """A JSON object, checked.

  Raises:
    Damaged: it is none, or altered; one line that begins with `where`.
  """
  try:
    body = json.loads(text)
  except (ValueError, RecursionError) as e:
    why = str(e).splitlines()[0][:100]
    raise Damaged(f'{where} is not JSON ({why}): restore it') from None
  if not isinstance(body, dict):
    raise Damaged(
      f'{where} holds {type(body).__name__}, not an object {{...}}: restore it'
    )
  return check(body, where)


def write(path: str | os.PathLike, body: dict) -> None:
  """An atomic write of the body with its digest."""
  files.write_json(path, sign(body))


def read(path: str | os.PathLike) -> dict:
  """The body of a file that `write` wrote, or that has no digest.

  Raises:
    Damaged: it is not what was written, in one line that names it.
    OSError: it cannot be read.
  """
  return parse(epath.Path(path).read_bytes(), str(path))
