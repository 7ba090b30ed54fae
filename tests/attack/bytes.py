"""One byte flipped, or a file cut: found, harmless or refused."""

import collections
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def damage(
  paths: Sequence[pathlib.Path],
  read: Callable[[pathlib.Path], Any],
  same: Callable[[Any, Any], bool],
  each: int,
  seed: int = 0,
) -> dict[str, collections.Counter]:
  """Damages every file in turn, at `each` random bytes and `each` cuts.

  Args:
    read: what is read of the run or cache that a file belongs to; a ValueError
      or OSError of one line that names something is a refusal.
    same: whether what was read is what had been read before.

  Returns:
    By file: how often it was harmless, and how often refused.

  Raises:
    AssertionError: something else was read, or a refusal has many lines.
  """
  rng = np.random.default_rng(seed)
  counts: dict[str, collections.Counter] = {}
  for path in paths:
    whole = path.read_bytes()
    want, count = read(path), collections.Counter()
    for i in range(2 * each if whole else 0):
      at = int(rng.integers(len(whole)))
      flipped = bytes([whole[at] ^ (1 << int(rng.integers(8)))])
      hurt = whole[:at] + (flipped + whole[at + 1 :] if i % 2 else b'')
      path.write_bytes(hurt)
      where = f'{path.name}, byte {at}, {"flipped" if i % 2 else "cut"}'
      try:
        got = read(path)
      except (ValueError, OSError) as e:
        assert len(str(e).strip().splitlines()) == 1, f'{where}: {e}'
        count['refused'] += 1
        continue
      except BaseException as e:
        raise AssertionError(f'{where}: {type(e).__name__}: {e}') from e
      assert same(got, want), f'{where}: something else was read'
      count['harmless'] += 1
    path.write_bytes(whole)
    assert same(read(path), want)
    counts[path.name] = counts.get(path.name, collections.Counter()) + count
  return counts


def table(counts: dict[str, collections.Counter]) -> str:
  """The counts for people, with their sums."""
  total = sum(counts.values(), collections.Counter())
  lines = [f'{k}: {dict(v)}' for k, v in counts.items()]
  return '\n'.join([*lines, f'all {sum(total.values())}: {dict(total)}'])
