"""Several processes as one run: they meet, agree, and end together.

Process 0 listens. Every other one comes to it and says who it is, with which
config and code; only when all are there, and the same, JAX's own runtime
starts. The connections stay: a process that dies closes its own, and the others
end at once instead of waiting in a sum that never completes.
"""

import argparse
import atexit
import contextlib
import json
import os
import pathlib
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
from etils import epath

from extrapolation import config
from extrapolation.output import exit_codes, logs
from extrapolation.parallel import secret
from extrapolation.parallel.peers import Lifeline, free_port
from extrapolation.parallel.texts import gather

T = TypeVar('T')

MOST = 1 << 16  # processes
LONGEST_WAIT = 7 * 24 * 3600.0  # seconds


def add_flags(parser: argparse.ArgumentParser) -> None:
  """The flags that make one process of several."""
  group = parser.add_argument_group('several processes')
  add = group.add_argument
  add('--multihost', action='store_true', help='find the others: TPU, Slurm')
  add('--coordinator', metavar='HOST:PORT', help='where process 0 listens')
  add('--num_processes', type=int, metavar='N')
  add('--process_id', type=int, metavar='I', help='0 .. N - 1')
  add('--join_timeout', type=float, default=300.0, metavar='SECONDS',
      help='how long to wait for the others')  # fmt: skip


def pop_flags(args: argparse.Namespace) -> argparse.Namespace:
  """Takes the flags of `add_flags` out of parsed ones."""
  names = ('multihost', 'coordinator', 'num_processes', 'process_id',
           'join_timeout')  # fmt: skip
  own = {name: args.__dict__.pop(name) for name in names}
  return argparse.Namespace(**own)


def where(args: argparse.Namespace) -> tuple[str, int, int] | None:
  """(address of process 0, processes, own number); None if alone.

  Raises:
    ValueError: flags that do not make a group, or --multihost where there is
      nothing to find.
  """
  if not 0 < args.join_timeout <= LONGEST_WAIT:
    raise ValueError(
      f'--join_timeout={args.join_timeout}: needs 0 < seconds <= '
      f'{LONGEST_WAIT:.0f}'
    )
  three = (args.coordinator, args.num_processes, args.process_id)
  if args.multihost:
    if any(x is not None for x in three):
      raise ValueError('--multihost finds the others itself: no other flags')
    return _detected()
  if all(x is None for x in three):
    return None
  if any(x is None for x in three):
    raise ValueError(
      'a group needs --coordinator=HOST:PORT, --num_processes=N and '
      '--process_id=I together'
    )
  address, n, me = three
  host, _, port = address.rpartition(':')
  if not _reachable(host) or not _is_port(port):
    raise ValueError(
      f'--coordinator={address[:80]}: needs HOST:PORT, with an IPv6 address in '
      'brackets: [::1]:PORT'
    )
  if not 1 <= n <= MOST or not 0 <= me < n:
    raise ValueError(
      f'--process_id={me} of --num_processes={n}: needs 0 <= I < N, and at '
      f'most {MOST} processes'
    )
  return address, n, me


def _reachable(host: str) -> bool:
  """Whether it can be the name or the address of a machine."""
  bare = host[1:-1] if host[:1] + host[-1:] == '[]' else host
  try:
    bare.encode('idna')  # what a look-up does first
  except UnicodeError:
    return False
  plain = bare.isprintable() and not set(bare) & {*' /[]'}
  return bool(bare) and plain and (':' in bare) == (bare != host)


def _is_port(text: str) -> bool:
  return bool(re.fullmatch('[0-9]{1,5}', text)) and 0 < int(text) < 1 << 16


def _detected() -> tuple[str, int, int]:
  # JAX has no public name for what initialize() itself looks the group up by.
  from jax._src.clusters import ClusterEnv

  for kind in ClusterEnv._cluster_types:
    if not kind.opt_in_only_method and kind.is_env_present():
      address = kind.get_coordinator_address(300, None)
      return address, kind.get_process_count(), kind.get_process_id()
  raise ValueError(
    '--multihost: no TPU pod and no Slurm job found here; give '
    '--coordinator=HOST:PORT --num_processes=N --process_id=I'
  )


@contextlib.contextmanager
def group(args: argparse.Namespace, **about: Any) -> Iterator[None]:
  """Runs its body as one process of the group that the flags name.

  The processes need a secret in common, see `secret.find`. JAX's own runtime
  asks for none: its ports need a network whose machines are trusted.

  Args:
    args: what `pop_flags` returned.
    about: what must be the same in all; a difference is refused by name.

  Raises:
    ValueError: another process has other settings or other code.
    OSError: the group does not come together; names who is missing.
  """
  address, n, me = where(args) or ('', 1, 0)
  if n == 1:
    yield
    return
  line = Lifeline(address, n, me)
  about = json.loads(json.dumps(about | dict(n=n, jax=jax.__version__)))
  about['code'] = _code()
  if me == 0:
    host = address.rpartition(':')[0]
    port = free_port(line.port + 1)
    line.gather(about, _difference, f'{host}:{port}', args.join_timeout)
    runtime = f'{host}:{port}'
  else:
    runtime = line.join(about, args.join_timeout)
  # Runs before JAX's own, which would wait for those that are gone.
  code: list[int] = []
  atexit.register(_leave, line, code)
  try:
    line.watch()
    jax.distributed.initialize(
      runtime,
      n,
      me,
      initialization_timeout=max(1, int(args.join_timeout)),
      # What only this machine can reach is not offered to others.
      coordinator_bind_address=runtime if secret.loopback(line.host) else None,
    )
    if me:
      logs.silence()
    yield
    barrier()
  except BaseException as e:
    if isinstance(e, jax.errors.JaxRuntimeError):
      line.await_failure_cause()  # a sum that broke off: the news is who died
    agreed = isinstance(e, Preempted)
    if not agreed:
      code.append(_exit_code(e))
    line.end(_exit_code(e), str(e), agreed)
    raise
  line.end(0, '', agreed=True)


def _leave(line: Lifeline, code: list[int]) -> None:
  if code:
    line.wait_for_peers()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code[0])


class Preempted(SystemExit):
  """All processes have saved, after the same step, and end."""

  def __init__(self, text: str, code: int = exit_codes.RETRY):
    super().__init__(code)
    self.text = text

  def __str__(self) -> str:
    return self.text


def _exit_code(e: BaseException) -> int:
  if isinstance(e, SystemExit):
    return e.code if isinstance(e.code, int) else exit_codes.FAILED
  if hasattr(e, 'exit_code'):
    return e.exit_code
  if isinstance(e, KeyboardInterrupt):
    return exit_codes.INTERRUPTED
  mendable = isinstance(e, (ValueError, OSError, FloatingPointError))
  return exit_codes.USAGE if mendable else exit_codes.FAILED


def _code() -> dict[str, int]:
  """A checksum of every source file of this package."""
  root = pathlib.Path(__file__).parent.parent
  return {
    str(p.relative_to(root)): zlib.crc32(p.read_bytes())
    for p in sorted(root.rglob('*.py'))
  }


def _difference(ours: dict, theirs: dict) -> str:
  lines = config.differences(ours, theirs)
  return '; '.join(lines[:8]) + (' ...' if len(lines) > 8 else '')


def barrier() -> None:
  """Returns when every process is here."""
  if jax.process_count() > 1:
    gather('')


def broadcast(text: str) -> str:
  """The text of process 0."""
  return gather(text)[0]


def first_of(problem: str) -> str:
  """The first problem that any process has, with its number; '' is none."""
  every = gather(problem)
  for i, p in enumerate(every):
    if p:
      return p if len(every) == 1 else f'process {i}: {p}'
  return ''


def every(f: Callable[[], T]) -> T:
  """f() in every process; if one raises, all do."""
  if jax.process_count() == 1:
    return f()
  value: Any = None
  error = None
  try:
    value = f()
  except (ValueError, OSError) as e:
    error = e
  kind = 'O' if isinstance(error, OSError) else 'V'
  problems = gather('' if error is None else f'{kind}{error}')
  if error is not None:
    raise error
  for i, text in enumerate(problems):
    if text:
      kind = OSError if text[0] == 'O' else ValueError
      raise kind(f'process {i}: {text[1:]}')
  return value


def first(f: Callable[[], T]) -> T | None:
  """f() in process 0 alone, None elsewhere; what it raises all raise."""
  return every(f if jax.process_index() == 0 else lambda: None)


def same(what: str, value: str) -> None:
  """Raises ValueError unless all processes have the same value."""
  values = gather(value)
  for i, other in enumerate(values):
    if other != values[0]:
      raise ValueError(
        f'process {i} has another {what} than process 0: {other!r}, not '
        f'{values[0]!r}'
      )


def shared(workdir: str, name: str = '.group') -> None:
  """Raises OSError unless all processes see the folder that process 0 made."""
  if jax.process_count() == 1:
    return
  folder = epath.Path(workdir)
  token = broadcast(os.urandom(8).hex())
  first(lambda: (folder / name).write_text(token))

  def look() -> None:
    for _ in range(50):  # a network file system may take a moment
      with contextlib.suppress(OSError):
        if (folder / name).read_text() == token:
          return
      time.sleep(0.1)
    raise OSError(
      f'does not see what process 0 writes in {str(folder)!r}; give a '
      '--workdir that all processes share'
    )

  every(look)
