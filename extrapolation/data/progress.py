"""Progress of long work in megabytes, silent where it is short."""

import contextlib
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
  """Shows how much of `total` bytes is done; yields `advance(n)`."""
  from extrapolation.progress import Loop  # brings rich

  loop = Loop(f'{label} (MB)', -(-total // 10**6))
  start, done = time.monotonic(), 0

  def advance(n: int) -> None:
    nonlocal done
    done += n
    took = time.monotonic() - start
    if loop.bar or took > loop.interval:
      loop.update(done // 10**6, f'{done / 1e6 / max(took, 1e-9):.1f} MB/s')

  try:
    yield advance
  finally:
    loop.close()
