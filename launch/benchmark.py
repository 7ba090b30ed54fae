"""Measures speed and memory, every case beside its peers in one run.

  python launch/benchmark.py train        a step at the training shape
  python launch/benchmark.py eval         NLL of one long sequence
  python launch/benchmark.py attention    attention alone, by length
  python launch/benchmark.py decode       tokens from a cache

Cases are separate processes that take turns, A B C ... C B A. Ratios are how
many times faster than the first case, paired within a round; `ratio_cpu` is
the same of CPU seconds, which neighbours on the machine disturb less;
`others_cores` is what they used meanwhile. Peers in PyTorch are left out where
it is missing (pip install '.[benchmark]'). On a GPU `attention` compares the
implementations that exist there, in bfloat16.
"""

import argparse
import csv
import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from launch.benchmarks import measure  # noqa: E402  after the path

Case = measure.Case
MODEL = dict(N=6, D=256, H=8, F=1024, V=8192)


def jax_case(name, make, **args):
  return Case(name, 'jax_cases', make, args)


def torch_case(name, make, **args):
  return Case(name, 'torch_cases', make, args)


def train(args):
  size = dict(MODEL, B=args.batch, T=args.lengths[0] if args.lengths else 512)
  yield (
    f'train, {size}',
    [
      jax_case('plain', 'train', form='plain', **size),
      jax_case('ours', 'train', form='ours', keep=True, **size),
      jax_case('plain, memory kept', 'train', form='plain', keep=True, **size),
      jax_case('ours, memory not kept', 'train', form='ours', **size),
      torch_case('torch eager', 'train', form='eager', compiled=False, **size),
      torch_case('torch compile sdpa', 'train', form='sdpa', **size),
      jax_case('matrix product', 'peak'),
    ],
  )


def evaluate(args):
  for T in args.lengths or [9216]:
    w, size = args.window, dict(MODEL, T=T)
    cases = [
      jax_case('plain', 'evaluate', form='plain', **size),
      jax_case('ours, exact', 'evaluate', form='ours', **size),
      jax_case(f'ours, {w}', 'evaluate', form='ours', window=w, **size),
      torch_case('torch sdpa', 'evaluate', form='sdpa', **size),
      torch_case('torch flex', 'evaluate', form='flex', **size),
      torch_case(f'torch flex, {w}', 'evaluate', form='flex', window=w, **size),
      jax_case('matrix product', 'peak'),
    ]
    # ALiBi's bias falls below ln 1e-6 at 13.8 / slope: windows of equal error.
    heads = [max(1, round(13.8 * 2**h)) for h in range(1, size['H'] + 1)]
    heads = [min(T, x) for x in heads]
    cases[3:3] = [
      jax_case('ours, 1e-6 a head', 'evaluate', form='ours', window=heads,
               **size),
      jax_case('ours, 1e-6 at most', 'evaluate', form='ours',
               window=max(heads), **size),
    ]  # fmt: skip
    if T > args.exact_up_to:
      ours = [c for c in cases if c.name.startswith('ours')]
      cases = [c for c in ours if c.name != 'ours, exact'] + cases[-1:]
    yield f'eval, {size}', cases


def attention(args):
  for T in args.lengths or [512, 2048]:
    for backward in (False, True):
      size = dict(B=args.batch, T=T, H=8, K=args.width, backward=backward)
      size |= dict(dtype=args.dtype)
      names = ['reference', 'blockwise', *args.implementations]
      cases = [jax_case(n, 'attend', implementation=n, **size) for n in names]
      cases += [
        torch_case(f'torch {n}', 'attend', form=n, **size)
        for n in ('eager', 'sdpa', 'flex', 'nobias')
        if not (n == 'flex' and backward and args.dtype == 'float32')
      ]
      cases.append(jax_case('matrix product', 'peak', dtype=args.dtype))
      yield f'attention, {size}', cases


def decode(args):
  size = dict(MODEL, context=args.lengths[0] if args.lengths else 16_384)
  full = size['context']
  yield (
    f'decode, {size}',
    [
      jax_case('full cache', 'generation', window=full, **size),
      jax_case(f'ring of {args.window}', 'generation', window=args.window,
               **size),
      jax_case('read memory', 'bandwidth'),
    ],
  )  # fmt: skip


COMMANDS = {
  'train': train, 'eval': evaluate, 'attention': attention, 'decode': decode
}  # fmt: skip


def machine() -> dict:
  """Where and with what the numbers were made."""
  git = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty']
  commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
  versions = {}
  for name in ('jax', 'flax'):
    versions[name] = importlib.metadata.version(name)
  model = ''
  cpuinfo = pathlib.Path('/proc/cpuinfo')
  if cpuinfo.exists():
    lines = cpuinfo.read_text().splitlines()
    model = next((x for x in lines if x.startswith('model name')), '')
  return dict(
    date=datetime.date.today().isoformat(),
    commit=commit,
    cpu=model.partition(': ')[2] or platform.machine(),
    cores=os.cpu_count(),
    python=platform.python_version(),
    **versions,
  )


def table(rows: list[dict]) -> str:
  names = [k for k in rows[0] if any(r[k] != '' for r in rows)]
  cells = [names, *([str(r[k]) for k in names] for r in rows)]
  widths = [max(len(c[i]) for c in cells) for i in range(len(names))]
  return '\n'.join(
    '  '.join(x.rjust(w) if i else x.ljust(w)
              for i, (x, w) in enumerate(zip(c, widths, strict=True)))
    for c in cells
  )  # fmt: skip


def main() -> None:
  p = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  p.add_argument('command', choices=COMMANDS)
  p.add_argument('--rounds', type=int, default=5)
  p.add_argument('--lengths', type=lambda x: [int(n) for n in x.split(',')])
  p.add_argument('--batch', type=int, default=8)
  p.add_argument('--width', type=int, default=32, help='of a head, attention')
  p.add_argument('--window', type=int, default=1024)
  p.add_argument('--dtype', default='float32', help='attention')
  p.add_argument(
    '--implementations',
    type=lambda x: x.split(','),
    default=[],
    help='more for attention: pallas, cudnn, nobias, nobias-cudnn',
  )
  p.add_argument(
    '--exact_up_to',
    type=int,
    default=12_000,
    help='longest eval that is done without a window',
  )
  p.add_argument(
    '--only',
    type=lambda x: x.split(';'),
    help='cases to keep, parted by semicolons; ratios refer to the first',
  )
  p.add_argument('--torch_python', default=sys.executable,
                 help='interpreter that has PyTorch')  # fmt: skip
  p.add_argument('--out', default=str(ROOT / 'results' / 'benchmark'))
  args = p.parse_args()

  found, where = [], machine()
  for title, cases in COMMANDS[args.command](args):
    if args.only:
      cases = [c for c in cases if c.name in args.only]
    print(title, flush=True)
    done = measure.run(cases, args.rounds, args.torch_python, print)
    rows = measure.rows(done, done[0].name)
    print(table(rows), flush=True)
    found += [dict(run=title, **r, **where) for r in rows]
  path = pathlib.Path(args.out) / f'{args.command}.csv'
  path.parent.mkdir(parents=True, exist_ok=True)
  fresh = not path.exists()
  with path.open('a', newline='') as f:
    w = csv.DictWriter(f, list(found[0]))
    if fresh:
      w.writeheader()
    w.writerows(found)
  print(f'added {len(found)} rows to {path}')


if __name__ == '__main__':
  main()
