"""Runs a command as several processes of one group, on this machine.

  python launch/local.py --processes=2 --devices=2 -- \\
    python -m extrapolation.train --config=configs/demo.py --workdir=runs/a

Every process gets --coordinator, --num_processes and --process_id. On CPUs
each has --devices devices; with --gpus, as many GPUs, the first process those
numbered from 0. When one ends in error, all end; what can be tried again
(stopped by notice, or a process lost) is, up to --retries times. SIGTERM and
Ctrl-C are passed on.
"""

import argparse
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from extrapolation import flags  # noqa: E402

RETRY, LOST = 75, 69  # what a process says by its exit code
NOTICE, KILL = 5.0, 30.0  # seconds from a death to SIGTERM and SIGKILL


def free_port() -> int:
  """A port that is free, and the one after it, which the runtime takes."""
  while True:
    with socket.socket() as a, socket.socket() as b:
      a.bind(('', 0))
      port = a.getsockname()[1]
      try:
        b.bind(('', port + 1))
      except (OSError, OverflowError):
        continue
      return port


def commands(args, port) -> list[tuple[dict, list[str]]]:
  """(environment, command) of each process."""
  found = []
  for i in range(args.processes):
    if args.gpus:
      first = i * args.devices
      mine = range(first, first + args.devices)
      env = dict(CUDA_VISIBLE_DEVICES=','.join(map(str, mine)))
    else:
      env = dict(JAX_NUM_CPU_DEVICES=str(args.devices), JAX_PLATFORMS='cpu')
    flags = [
      f'--coordinator=localhost:{port}',
      f'--num_processes={args.processes}',
      f'--process_id={i}',
    ]
    found.append((env, [*args.command, *flags]))
  return found


def show(env: dict, command: list[str]) -> str:
  return shlex.join(['env', *(f'{k}={v}' for k, v in env.items()), *command])


class Group:
  """The processes of one try."""

  def __init__(self, todo):
    self.children, self.readers = [], []
    for i, (env, command) in enumerate(todo):
      child = subprocess.Popen(
        command,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C comes through us, once
      )
      self.children.append(child)
      reader = threading.Thread(target=_prefix, args=(i, child.stdout))
      reader.start()
      self.readers.append(reader)

  def signal(self, number):
    for child in self.children:
      if child.poll() is None:
        child.send_signal(number)

  def wait(self) -> int:
    """Its exit code: 0, or the first error that is no consequence."""
    failed, start, told = [], None, False
    while any(child.poll() is None for child in self.children):
      self._note(failed)
      if failed and start is None:
        start = time.monotonic()
      # They notice by themselves, or wait for one that will never come.
      after = time.monotonic() - start if start else 0.0
      if after > NOTICE and not told:
        self.signal(signal.SIGTERM)
        told = True
      if after > KILL and RETRY not in [code for _, code in failed]:
        self.signal(signal.SIGKILL)  # who has saved is waited for
      time.sleep(0.05)
    self._note(failed)
    for reader in self.readers:
      reader.join()
    codes = [code for _, code in failed]
    own = [c for c in codes if c > 0 and c not in (LOST, 128 + 6)]
    return (own or [LOST] if codes else [0])[0]

  def _note(self, failed):
    known = {i for i, _ in failed}
    for i, child in enumerate(self.children):
      code = child.poll()
      if code and i not in known:
        failed.append((i, code))
        say(f'process {i} {_how(code)}' + (
          '; the others are to end' if len(failed) == 1 else ''))  # fmt: skip


def _how(code: int) -> str:
  if code == RETRY:
    return f'stopped by notice, exit code {code}'
  if code < 0:
    return f'was ended by {signal.Signals(-code).name}'
  return f'ended with exit code {code}'


def _prefix(i, stream):
  for line in stream:
    text = line.decode(errors='replace')
    sys.stdout.write(f'[{i}] {text}')
    sys.stdout.flush()


def say(text: str) -> None:
  print(f'[local] {text}', flush=True)


def main(argv: list[str]) -> int:
  p = flags.Parser(__doc__)
  p.add_argument('--processes', type=int, required=True)
  p.add_argument('--devices', type=int, default=1, help='of each process')
  p.add_argument('--gpus', action='store_true', help='devices are GPUs')
  p.add_argument('--retries', type=int, default=0)
  p.add_argument('--port', type=int, default=0, help='0 is any free one')
  p.add_argument('--dry_run', action='store_true', help='print the commands')
  p.add_argument('command', nargs=argparse.REMAINDER)
  args = p.parse_args(argv)
  if args.command[:1] == ['--']:
    args.command = args.command[1:]
  if not args.command:
    p.error('no command; give it after --')
  if not 0 <= args.port < 65_535:
    p.error(f'--port={args.port}: needs 1 .. 65534, or 0 for any free one')
  if args.processes < 1 or args.devices < 1 or args.retries < 0:
    p.error('--processes and --devices need >= 1, --retries >= 0')
  if args.dry_run:
    for env, command in commands(args, args.port or 'PORT'):
      print(show(env, command))
    return 0

  group, told = None, []

  def stop(number, frame):
    del frame
    told.append(number)
    if group:
      group.signal(number)

  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, stop)
  for attempt in range(args.retries + 1):
    try:
      group = Group(commands(args, args.port or free_port()))
    except OSError as e:
      p.error(f'{args.command[0]} cannot be started: {e.strerror}')
    code = group.wait()
    again = code in (RETRY, LOST) and attempt < args.retries and not told
    if not again:
      return code
    say(f'trying again, {attempt + 1} of {args.retries}')
  return code


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
