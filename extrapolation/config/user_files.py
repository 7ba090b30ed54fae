"""What a config says of files of the user's own that hold an encoding."""

import re
from collections.abc import Mapping
from typing import Any

from immutabledict import immutabledict

from extrapolation import rpe
from extrapolation.config import sizes
from extrapolation.rpe import user_file


def record(key: str, kernel: str, known: Any) -> immutabledict[str, Any]:
  """What is said of a file: as `known` has it, or as it was loaded.

  Empty for an encoding that is no file. Nothing is run.

  Args:
    key: of the config, which is named in errors.

  Raises:
    ValueError: a record that is none, or a file that is neither described nor
      loaded.
  """
  if not rpe.is_file(kernel):
    if known:
      raise ValueError(f'{key}: {sizes.shown(kernel)} is no file FILE.py')
    return immutabledict()
  if not known:
    known = rpe.about(kernel)
  sha256, defaults = (
    (known.get('sha256'), known.get('defaults'))
    if isinstance(known, Mapping)
    else (None, None)
  )
  if not user_file.NAME.fullmatch(rpe.name_of(kernel)):
    raise ValueError(f'{sizes.shown(kernel)} is no name of a file')
  if not isinstance(sha256, str) or not re.fullmatch('[0-9a-f]{64}', sha256):
    raise ValueError(f'{key} = {sizes.shown(known)}: needs a sha256')
  if not isinstance(defaults, Mapping) or not all(
    isinstance(k, str) and type(v) in (bool, int, float, str)
    for k, v in defaults.items()
  ):
    raise ValueError(f'{key} = {sizes.shown(known)}: needs plain defaults')
  return immutabledict(sha256=sha256, defaults=immutabledict(defaults))


def load(*specs: Any) -> None:
  """Runs the files among encodings that the user has named himself.

  Raises:
    ValueError: one that is no encoding.
  """
  for spec in specs:
    kernel = rpe.parse(spec)[0] if isinstance(spec, str) else ''
    if rpe.is_file(kernel):
      rpe.load(kernel)
