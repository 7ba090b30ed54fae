"""How many cores and how much memory this process may use."""

import math
import os
import pathlib
from collections.abc import Iterator

CGROUPS = pathlib.Path('/sys/fs/cgroup')


def cores() -> int:
  """Cores that this process may use: its affinity, and a container's quota."""
  if hasattr(os, 'sched_getaffinity'):
    n = len(os.sched_getaffinity(0))
  else:
    n = os.cpu_count() or 1
  for group in _groups():
    quota, period = (_read(group / 'cpu.max').split() or ['max', '1'])[:2]
    if quota != 'max':
      n = min(n, math.ceil(int(quota) / int(period)))
  return max(1, n)


def available_bytes() -> int:
  """Memory that is free or that the system would give back, of all limits."""
  rows = dict(line.split(':') for line in _lines('/proc/meminfo'))
  if 'MemAvailable' in rows:
    free = int(rows['MemAvailable'].split()[0]) << 10
  else:
    free = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2
  for group in _groups():
    limit = _read(group / 'memory.max').strip()
    if limit.isdigit():
      pairs = [line.split() for line in _lines(group / 'memory.stat')]
      cached = int(dict(pairs).get('inactive_file', 0))
      used = int(_read(group / 'memory.current') or 0)
      free = min(free, int(limit) - used + cached)
  return max(0, free)


def _groups() -> Iterator[pathlib.Path]:
  """The control group (version 2) of this process and those it is in."""
  for line in _lines('/proc/self/cgroup'):
    number, _, path = line.split(':', 2)
    if number == '0':
      group = CGROUPS / path.lstrip('/')
      yield group
      yield from (p for p in group.parents if p.is_relative_to(CGROUPS))


def _read(path: str | os.PathLike) -> str:
  try:
    return pathlib.Path(path).read_text()
  except OSError:
    return ''


def _lines(path: str | os.PathLike) -> list[str]:
  return _read(path).splitlines()
