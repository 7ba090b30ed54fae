"""Several workers of a sweep on one machine, each with its share of threads.

A worker is the sweep's own command in one process; the pool passes on what it
says, and ends it. A worker whose pool is gone sees the end of its standard
input, and then does as after a notice: it saves and ends.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from extrapolation import config
from extrapolation.cli import allocator
from extrapolation.output import exit_codes
from extrapolation.runs import machine, sweep_grid

log = logging.getLogger(__name__)

COMMAND = (sys.executable, '-u', '-m', 'extrapolation.sweep')
POOLED = 'EXTRAPOLATION_POOLED_WORKER'  # set in a worker that a pool started
PROCESS_BYTES = 700 << 20  # of a worker that has computed nothing yet


def size(todo: Iterable[config.Experiment]) -> int:
  """Workers for the runs that are left: as many as cores and memory allow.

  One where there is an accelerator, which a process holds alone. Two cores do
  two runs of one thread each in far less than twice the time of one run of two
  threads: only matrix products keep more than one thread busy.
  """
  needs = [bytes_of(e) for e in todo]
  if not needs or allocator.has_accelerator():
    return 1
  room = int(machine.available_bytes() * 0.8) // max(needs)
  return max(1, min(machine.cores(), len(needs), room))


def bytes_of(e: config.Experiment) -> int:
  """A rough upper bound of the memory that a run needs on a CPU.

  State: parameters, gradients and both moments, twice while a checkpoint is
  read back. Activations: what one layer keeps per token for the backward pass,
  12 D + 2 F numbers, and one block of logits.
  """
  m, t = e.model, e.train
  wide = 8 if m.dtype == 'float64' else 4
  vocabulary = e.data.vocab if e.data.tokenizer != 'bytes' else 257
  parameters = m.N * (4 * m.D**2 + 2 * m.D * m.F) + vocabulary * m.D
  tokens = max(t.B // t.accumulate * t.T, e.eval.batch_tokens)
  tokens = max(tokens, max(e.eval.lengths))
  activations = tokens * (1 if m.remat else m.N) * (12 * m.D + 2 * m.F)
  return PROCESS_BYTES + wide * (8 * parameters + activations)


def run(
  argv: Sequence[str],
  workers: int,
  workdir: str,
  todo: Mapping[str, config.Experiment],
) -> dict[str, str]:
  """Gives the sweep's own command line to `workers` processes; waits for all.

  Returns the runs that failed, and why. A notice (SIGTERM, Ctrl-C) reaches
  every worker, and each saves.

  Raises:
    SystemExit: with the code of a worker that is to be run again, if that left
      something to do.
  """
  threads = max(1, machine.cores() // workers)
  log.info(
    '%d runs to do, %d workers with %d thread%s each',
    len(todo), workers, threads, 's' * (threads > 1),
  )  # fmt: skip
  children, relays = [], []
  try:
    for _ in range(workers):
      children.append(_start(argv, threads))
      relays += _relays(children[-1])
    codes = [child.wait() for child in children]
  except BaseException as e:
    try:  # a second Ctrl-C may come at any time from here on
      for child in children:
        child.terminate()
      if isinstance(e, KeyboardInterrupt):
        log.info(
          'Ctrl-C: every worker finishes its step, saves and stops; once more '
          'ends them at once'
        )
      for child in children:
        child.wait()
    except KeyboardInterrupt:
      for child in children:
        child.kill()
    raise
  finally:
    for relay in relays:
      relay.join(timeout=5)
    for child in children:
      child.stdin.close()
  left = {
    name
    for name, e in todo.items()
    if not sweep_grid.evaluated_rows(os.path.join(workdir, name), e)
  }
  for code in codes:
    if code in exit_codes.AGAIN and left:
      raise SystemExit(code)
    if code not in (exit_codes.OK, exit_codes.USAGE, *exit_codes.AGAIN):
      log.warning('a worker ended %s', _how(code))
  failed = {}
  for name in todo:
    if failure := sweep_grid.failure(os.path.join(workdir, name)):
      failed[name] = failure[1]['why']
    elif any(codes) and name in left:
      failed[name] = 'its worker ended before it was done'
  return failed


def _how(code: int) -> str:
  return f'by {signal.Signals(-code).name}' if code < 0 else f'with code {code}'


def _start(argv: Sequence[str], threads: int) -> subprocess.Popen:
  """A worker that ends, as if by SIGTERM, when this process is gone.

  Ctrl-C does not reach it, being in a process group of its own: it is to save.
  """
  return subprocess.Popen(
    [*COMMAND, *argv, '--workers=1', '--no_report'],
    env=os.environ | thread_limits(threads) | {POOLED: '1'},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    errors='replace',
    process_group=0,
  )


def end_with_pool() -> None:
  """In a worker of a pool: SIGTERM to itself when the pool ends."""
  if not os.environ.pop(POOLED, ''):
    return

  def watch():
    while os.read(0, 1024):  # sys.stdin has a lock that the end waits for
      pass
    null = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):  # nobody reads them: to write would be an error
      os.dup2(null, output)
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=watch, daemon=True).start()


def thread_limits(threads: int) -> dict[str, str]:
  """Environment that gives the libraries of one worker so many threads."""
  flags = os.environ.get('XLA_FLAGS', '')
  if threads == 1:
    flags += ' --xla_cpu_multi_thread_eigen=false'
  limits = {'NPROC': str(threads), 'XLA_FLAGS': flags.strip()}
  for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    limits[name] = str(threads)
  return limits


def _relays(child: subprocess.Popen) -> list[threading.Thread]:
  """Threads that pass on what a worker says, line by line."""
  pairs = (child.stdout, sys.stdout), (child.stderr, sys.stderr)
  threads = [
    threading.Thread(target=_relay, args=pair, daemon=True) for pair in pairs
  ]
  for thread in threads:
    thread.start()
  return threads


def _relay(source: TextIO, sink: TextIO) -> None:
  with source:
    for line in source:
      with contextlib.suppress(OSError, ValueError):  # its reader is gone
        sink.write(line)
        sink.flush()
