"""How people write an encoding: `KERNEL[:KEY=VALUE...]`.

A KERNEL is the name of an encoding, or the path of a file of the user's own,
which ends in `.py`.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from extrapolation.cli import values
from extrapolation.parts.registry import text

READ = {bool: values.yes, int: values.whole, float: values.real, str: str}

# A path may hold what separates names, so it is read up to its suffix.
_KERNEL = re.compile(r'(?P<kernel>.*?\.py(?=:|$)|[^:]*)(?P<hyper>.*)', re.S)


def parse(spec: str) -> tuple[str, dict[str, str]]:
  """The kernel of a spec, and the text of each of its hyperparameters.

  >>> parse('harmonic:exponent=1.05')
  ('harmonic', {'exponent': '1.05'})
  >>> parse('a:b/mine.py:width=3')
  ('a:b/mine.py', {'width': '3'})
  """
  parts = _KERNEL.fullmatch(spec.strip())
  assert parts  # it matches any text
  pairs = (item.partition('=') for item in parts['hyper'].split(':')[1:])
  return parts['kernel'], {key: value for key, _, value in pairs}


def is_file(kernel: str) -> bool:
  """Whether a kernel is a file of the user's own, not a name.

  >>> is_file('path/to/mine.py'), is_file('alibi')
  (True, False)
  """
  return kernel.endswith('.py')


def name_of(kernel: str) -> str:
  """What tables and folders call it: a file by the last part of its path.

  The suffix stays, so that no file is taken for an encoding of its stem.

  >>> name_of('path/to/alibi.py'), name_of('alibi')
  ('alibi.py', 'alibi')
  """
  return os.path.basename(kernel) if is_file(kernel) else kernel


def check_keys(
  kernel: str, hyper: Mapping, defaults: Mapping, noun: str = 'encoding'
) -> None:
  """Raises ValueError for a hyperparameter that an encoding does not have."""
  for key in hyper:
    if key not in defaults:
      has = ', '.join(defaults) or 'none'
      raise ValueError(
        f'{noun} {name_of(kernel)!r} has no hyperparameter {key!r}; it has: '
        f'{has}'
      )


def typed(
  kernel: str,
  hyper: Mapping[str, str],
  defaults: Mapping[str, Any],
  noun: str = 'encoding',
) -> dict[str, Any]:
  """Hyperparameters as text, each read as a value of its default's type.

  Raises:
    ValueError: no such hyperparameter, or a text that is no such value.
  """
  check_keys(kernel, hyper, defaults, noun)
  out: dict[str, Any] = {}
  for key, written in hyper.items():
    try:
      out[key] = READ[type(defaults[key])](written)
    except ValueError as e:
      raise ValueError(f'{name_of(kernel)}: {key}: {e}') from None
  return out


def write(kernel: str, hyper: Mapping) -> str:
  """The spec that tables and folders show, without the folder of a file.

  >>> write('path/to/mine.py', {'width': 3})
  'mine.py:width=3'
  """
  pairs = (f'{k}={text(v)}' for k, v in hyper.items())
  return ':'.join([name_of(kernel), *pairs])
