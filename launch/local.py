"""Runs a command as several processes of one group, on this machine.

  python launch/local.py --processes=2 --devices=2 -- \\
    python -m extrapolation.train --config=configs/demo.py --workdir=runs/a

Every process gets --coordinator, --num_processes and --process_id. On CPUs
each has --devices devices; with --gpus, as many GPUs, the first process those
numbered from 0. They share a secret, so that nobody else joins them. When one
ends with an error, all end. The command is run again, up to --retries times, if
it was stopped by a notice (exit code 75) or lost a process (69). SIGTERM and
Ctrl-C are passed on.
"""

import argparse
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import BinaryIO

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the same code as `python -m` runs here

from extrapolation.cli import flags  # noqa: E402
from extrapolation.output import exit_codes  # noqa: E402
from extrapolation.parallel import peers, secret  # noqa: E402

PORTS = 20_000, 30_000  # below those that the system gives to connections
NOTICE, KILL = 5.0, 30.0  # seconds from a death to SIGTERM and SIGKILL
MOST = 4096  # processes, and devices of each
ABORTED = 128 + 6  # by the runtime, when another process is gone

Command = tuple[dict[str, str], list[str]]  # (environment, words)


def commands(args: argparse.Namespace, port: int | str) -> list[Command]:
  """The command of each process."""
  made = []
  for i in range(args.processes):
    if args.gpus:
      gpus = range(i * args.devices, (i + 1) * args.devices)
      env = dict(CUDA_VISIBLE_DEVICES=','.join(map(str, gpus)))
    else:
      env = dict(JAX_NUM_CPU_DEVICES=str(args.devices), JAX_PLATFORMS='cpu')
    group = [
      f'--coordinator=localhost:{port}',
      f'--num_processes={args.processes}',
      f'--process_id={i}',
    ]
    made.append((env, [*args.command, *group]))
  return made


def show(env: dict, command: list[str]) -> str:
  return shlex.join(['env', *(f'{k}={v}' for k, v in env.items()), *command])


class Group:
  """The processes of one attempt."""

  def __init__(self, todo: Sequence[Command]):
    self.children, self.readers = [], []
    own = {secret.VARIABLE: secret.new()}  # not those of an earlier attempt
    for i, (env, command) in enumerate(todo):
      child = subprocess.Popen(
        command,
        env=os.environ | env | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is passed on, once
      )
      self.children.append(child)
      reader = threading.Thread(target=_prefix, args=(i, child.stdout))
      reader.start()
      self.readers.append(reader)

  def signal(self, number: int) -> None:
    for child in self.children:
      if child.poll() is None:
        child.send_signal(number)

  def wait(self) -> int:
    """Its exit code: 0, or that of the first error that caused the others."""
    failed, start, told = {}, None, False
    while any(child.poll() is None for child in self.children):
      self._note(failed)
      if failed and start is None:
        start = time.monotonic()
      # The others notice by themselves, or wait for one that never comes.
      after = time.monotonic() - start if start else 0.0
      if after > NOTICE and not told:
        self.signal(signal.SIGTERM)
        told = True
      saving = {exit_codes.RETRY, exit_codes.INTERRUPTED} & {*failed.values()}
      if after > KILL and not saving:
        self.signal(signal.SIGKILL)  # none of them is saving
      time.sleep(0.05)
    self._note(failed)
    for reader in self.readers:
      reader.join()
    caused = (exit_codes.LOST, ABORTED)  # by the end of another one
    own = [c for c in failed.values() if c > 0 and c not in caused]
    return (own or ([exit_codes.LOST] if failed else [exit_codes.OK]))[0]

  def _note(self, failed: dict[int, int]) -> None:
    """Adds {process: exit code} of those that ended with an error."""
    for i, child in enumerate(self.children):
      code = child.poll()
      if code and i not in failed:
        failed[i] = code
        others = '; the others will end' if len(failed) == 1 else ''
        report(f'process {i} {_how(code)}{others}')


def _how(code: int) -> str:
  if code == exit_codes.RETRY:
    return f'was stopped by a notice, exit code {code}'
  if code < 0:
    return f'was ended by {signal.Signals(-code).name}'
  return f'ended with exit code {code}'


def _prefix(i: int, stream: BinaryIO) -> None:
  for line in stream:
    text = line.decode(errors='replace')
    sys.stdout.write(f'[{i}] {text}')
    sys.stdout.flush()


def report(text: str) -> None:
  print(f'[local] {text}', flush=True)


def main(argv: list[str]) -> int:
  p = flags.Parser(__doc__)
  p.add_argument('--processes', type=int, required=True)
  p.add_argument('--devices', type=int, default=1, help='per process')
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
  for flag in ('processes', 'devices'):
    if not 1 <= (value := getattr(args, flag)) <= MOST:
      p.error(f'--{flag}={value}: needs 1 .. {MOST}')
  if args.retries < 0:
    p.error(f'--retries={args.retries}: needs >= 0')
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
      port = args.port or peers.free_port(random.randrange(*PORTS))
      group = Group(commands(args, port))
    except OSError as e:
      p.error(f'{args.command[0]} cannot be started: {e.strerror}')
    code = group.wait()
    again = code in exit_codes.AGAIN and attempt < args.retries and not told
    if not again:
      return code
    report(f'trying again, {attempt + 1} of {args.retries}')
  return code


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
