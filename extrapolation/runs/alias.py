"""Another path of a folder, for a library that takes not every path."""

import os
import tempfile

from etils import epath

# Orbax reads the path of a checkpoint as a pattern when it joins its parts,
# and tensorstore takes a \ for a /, and only text that UTF-8 can hold.
SPECIAL = frozenset('[]*?\\')


def is_plain(path: str) -> bool:
  """Whether Orbax and tensorstore take a path as it is."""
  return path.isprintable() and not SPECIAL & set(path)


class Alias:
  """A link to `folder`, of a plain path, that lives as long as this object.

  There is none, and paths stay as they are, where that of the folder is plain.

  Raises:
    OSError: the folder for temporary files, $TMPDIR, has no plain path itself
      or cannot be written.
  """

  def __init__(self, folder: epath.Path):
    self.folder, self.link = folder, None
    if is_plain(os.fspath(folder)):
      return
    self._temporary = tempfile.TemporaryDirectory(prefix='extrapolation-')
    root = os.path.abspath(self._temporary.name)
    if not is_plain(root):
      raise OSError(
        f'{os.fspath(folder)!r} has letters that checkpoints cannot be written '
        f'under, as has TMPDIR={root!r}; give another --workdir or TMPDIR'
      )
    self.link = epath.Path(root) / 'checkpoints'
    os.symlink(os.fspath(folder), self.link, target_is_directory=True)

  def of(self, path: epath.Path) -> epath.Path:
    """The path of what is at `path`, in the folder, by way of the link."""
    if self.link is None:
      return path
    return self.link / path.relative_to(self.folder)
