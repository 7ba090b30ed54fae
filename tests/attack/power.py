"""A disk that forgets, at a power cut, all that was not synced."""

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import NamedTuple

import pytest

Names = dict[str, tuple[int, bool]]  # {name: (inode, whether a folder)}


class Moment(NamedTuple):
  """What the disk held when one sync had returned.

  files: bytes by inode, folders: names by inode, as last synced; tree: {path:
  inode} of all files there were, synced or not.
  """

  files: dict[int, bytes]
  folders: dict[int, Names]
  tree: dict[str, int]
  note: object


class Disk:
  """Watches every os.fsync below a folder, whoever wrote the bytes.

  Two disks forget in two ways. The strict one holds a name only when the folder
  was synced, and a file only as it was when it was synced. The eager one, as
  journals of metadata do, has every name at once, and empty files behind those
  that were not synced.
  """

  def __init__(self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    self.root, self.moments, self.note = root, [], None
    self.files: dict[int, bytes] = {}
    self.folders: dict[int, Names] = {root.stat().st_ino: {}}
    self.held: list[int] = []  # or an inode would be given out twice
    self.real = os.fsync
    monkeypatch.setattr(os, 'fsync', self.fsync)

  def fsync(self, file: int) -> None:
    self.real(file)
    path = pathlib.Path(os.readlink(f'/proc/self/fd/{file}'))
    if not path.is_relative_to(self.root):
      return
    self.held.append(os.dup(file))
    inode = os.fstat(file).st_ino
    if path.is_dir():
      entries = os.scandir(path)
      self.folders[inode] = {e.name: (e.inode(), e.is_dir()) for e in entries}
    else:
      self.files[inode] = path.read_bytes()
    self.moments.append(
      Moment(dict(self.files), dict(self.folders), self._tree(), self.note)
    )

  def _tree(self) -> dict[str, int]:
    return {
      os.path.relpath(os.path.join(at, name), self.root): os.stat(
        os.path.join(at, name)
      ).st_ino
      for at, _, names in os.walk(self.root)
      for name in names
      if os.path.exists(os.path.join(at, name))
    }

  def after_power_cut(
    self, moment: Moment, eager: bool, target: pathlib.Path
  ) -> pathlib.Path:
    """What is found when the power is back."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    tree = moment.tree if eager else dict(self._strict(moment))
    for name, inode in tree.items():
      (target / name).parent.mkdir(parents=True, exist_ok=True)
      (target / name).write_bytes(moment.files.get(inode, b''))
    return target

  def _strict(self, moment: Moment) -> Iterator[tuple[str, int]]:
    left = [('', self.root.stat().st_ino)]
    while left:
      at, inode = left.pop()
      for name, (child, folder) in moment.folders.get(inode, {}).items():
        path = os.path.join(at, name)
        if folder:
          left.append((path, child))
        else:
          yield path, child

  def close(self) -> None:
    for file in self.held:
      os.close(file)
