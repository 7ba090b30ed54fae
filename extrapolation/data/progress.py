"""Progress of long work on a terminal; silent elsewhere."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
  """Shows a bar of `total` bytes; yields `advance(n)`."""
  from rich import console, progress

  terminal = console.Console(stderr=True)
  with progress.Progress(
    progress.TextColumn('{task.description}'),
    progress.BarColumn(),
    progress.DownloadColumn(),
    progress.TimeRemainingColumn(),
    console=terminal,
    disable=not terminal.is_terminal,
    transient=True,
  ) as bar:
    task = bar.add_task(label, total=total)
    yield lambda n: bar.advance(task, n)
