"""Measures speed and memory, every case beside its peers in one run.

  python launch/benchmark.py train        a step at the training shape
  python launch/benchmark.py eval         NLL of one long sequence
  python launch/benchmark.py attention    attention alone, by length; gates
  python launch/benchmark.py spaces       attention over the cells of a grid
  python launch/benchmark.py decode       tokens from a cache
  python launch/benchmark.py save         steps with a checkpoint every 20
  python launch/benchmark.py sweep        whole sweeps, beside another commit

Each case is a process of its own, and their repetitions are interleaved,
A B C ... C B A. Ratios say how many times faster than the first case, paired
within a round; `ratio_cpu` is that of CPU seconds, which other work on the
machine disturbs less; `others_cores` is what that used meanwhile. Cases in
PyTorch are left out where it is missing (pip install '.[benchmark]'). On a GPU
`attention` compares the implementations that exist there, in bfloat16.
`sweep --help` has flags of its own.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # what is measured is this checkout

from extrapolation import cli  # noqa: E402
from extrapolation.cli import flags, paths  # noqa: E402, paths
from launch.benchmarks import cases, measure, results, sweeps  # noqa: E402


def arguments(argv: list[str]) -> argparse.Namespace:
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('command', choices=[*cases.COMMANDS, 'sweep'])
  add('--rounds', type=int, default=5)
  add('--lengths', type=flags.wholes, metavar='N,..')
  add('--seconds', type=float, default=3, help='of a measurement, at least')
  add('--batch', type=int, default=8)
  add('--width', type=int, default=32, help='per head, of attention')
  add('--window', type=int, default=1024)
  add('--dtype', default='float32', help='of attention')
  add(
    '--implementations',
    type=lambda x: x.split(','),
    default=[],
    metavar='NAME,..',
    help='more for attention: pallas, cudnn, nobias, nobias-cudnn',
  )
  add(
    '--exact_up_to',
    type=int,
    default=12_000,
    metavar='N',
    help='longest eval that is done without a window',
  )
  add(
    '--only',
    type=lambda x: x.split(';'),
    metavar='CASE;..',
    help='cases to keep; ratios refer to the first',
  )
  add(
    '--torch_python',
    default=sys.executable,
    metavar='PATH',
    help='interpreter that has PyTorch',
  )
  add('--out', type=paths.path, default=str(results.FOLDER), metavar='DIR')
  args = parser.parse_args(argv)
  if args.rounds < 1:
    parser.error(f'--rounds={args.rounds}: needs at least 1')
  return args


def main(argv: list[str]) -> None:
  if argv[:1] == ['sweep']:
    sweeps.main(argv[1:])
    return
  args = arguments(argv)
  rows, provenance = [], results.provenance()
  for title, todo in cases.COMMANDS[args.command](args):
    if args.only:
      todo = [c for c in todo if c.name in args.only]
      if not todo:
        continue
    print(title, flush=True)
    done = measure.run(todo, args.rounds, args.torch_python, args.seconds)
    compared = measure.rows(done, done[0].name if done else title)
    print(results.table(compared), flush=True)
    rows += [dict(run=title, **row, **provenance) for row in compared]
  if not rows:
    raise ValueError(
      f'--only={";".join(args.only)}: no case of {args.command} is called that'
    )
  results.append(pathlib.Path(args.out) / f'{args.command}.csv', rows)


if __name__ == '__main__':
  cli.run(main)
