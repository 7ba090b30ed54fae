"""Files of a user's own that hold an encoding, for tests."""

import pathlib

GOOD = '''
import jax.numpy as jnp
from extrapolation.rpe import base


def make(H: int, width: float = 64.0) -> base.RPE:
  """Half a bell: bias_h(t) = -(k_h t)^2 / width."""
  return base.scaled(H, lambda x: -(x**2) / width, 'a test')
'''
# Another formula, which tells that it was run.
TRAP = GOOD.replace('x**2', 'x') + '''
import pathlib
pathlib.Path(__file__ + '.ran').touch()
'''  # fmt: skip


def write(path: pathlib.Path, text: str = GOOD) -> str:
  """The path of a file, which is made with its folder."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  return str(path)


def ran(folder: pathlib.Path) -> list[pathlib.Path]:
  """Traps under a folder that were run."""
  return list(folder.rglob('*.ran'))
