"""What can be known of an encoding, from the command line.

python -m extrapolation.theory --rpe=type2 --heads=8 --eps=0.1,0.01,0.001
python -m extrapolation.theory --formula='-r1*log(1+r2*t)'
python -m extrapolation.theory --formula='-r1*log(1+t)' --set=r1=1.05
python -m extrapolation.theory --function=my_package.my_module:my_bias
python -m extrapolation.theory --rpe='none*ssmax/type1@forget+alibi'
python -m extrapolation.theory --all --heads=8
python -m extrapolation.theory --rpe=type1 --geometry=grid:2
python -m extrapolation.theory --formula=-k*t --geometry=tree:2:leaf
python -m extrapolation.theory --all --geometry=grid --train=16x32 --test=96x96
python -m extrapolation.theory --all --geometry=grid --train=16x32 --layers=3
python -m extrapolation.theory --workdir=DIR
python -m extrapolation.theory --rpe=alibi --window_error=0.01 --logit_bound=5
python -m extrapolation.theory --witness --rpe=harmonic --window=512
"""

import argparse
import dataclasses
import json
import sys

from extrapolation import cli
from extrapolation.cli import flags, paths


def parser() -> flags.Parser:
  """The flags of the command."""
  out = flags.Parser(__doc__)
  what = out.add_mutually_exclusive_group()
  out.add_argument(
    '--rpe',
    metavar='NAME,..',
    help='encodings, such as alibi,power:exponent=0.5,path/to/mine.py; beside '
    '--workdir, the file of the encoding of your own that the run has',
  )
  what.add_argument(
    '--formula',
    help='text; t is the distance 0, 1, 2, ...; pi and e are constants; other '
    'letters are parameters, positive unless --set',
  )
  what.add_argument(
    '--function', metavar='MODULE:NAME', help='a jnp function of distance'
  )
  what.add_argument('--all', action='store_true', help='every encoding')
  what.add_argument(
    '--workdir', type=paths.path, metavar='DIR', help='a trained run'
  )
  out.add_argument('--heads', type=int, default=8, help='H (default 8)')
  out.add_argument(
    '--rpe_args', default='', metavar='K=V,..', help='hyperparameters of --rpe'
  )
  out.add_argument(
    '--set', default='', metavar='K=V,..', help='values of parameters'
  )
  out.add_argument(
    '--geometry',
    metavar='NAME',
    help='the space of the keys, such as both, grid:2, grid:norm=max, tree:2, '
    'tree:2:leaf, graph:FILE (default: a causal line, or that of --workdir)',
  )
  out.add_argument(
    '--train',
    metavar='SIZE',
    help='in a --geometry: the trained shape, such as 16x32; keys outside of '
    'it are far',
  )
  out.add_argument('--test', metavar='SIZE', help='the shape that holds it')
  out.add_argument(
    '--layers',
    type=int,
    metavar='N',
    help='beside --train: how much of what the nearest keys say N layers miss',
  )
  out.add_argument('--eps', default='0.1,0.01,0.001', help='shares, exact')
  out.add_argument('--horizon', type=int, help='tokens (default 9216)')
  out.add_argument(
    '--train_length',
    type=int,
    help='tokens; mass beyond is far (default 512, or that of --workdir)',
  )
  out.add_argument(
    '--window_error',
    type=float,
    metavar='E',
    help='smallest window of keys that moves no output by more than E',
  )
  out.add_argument(
    '--logit_bound',
    type=float,
    metavar='M',
    help='bound of |q.k| / sqrt K, for --window_error and the share of far '
    'keys',
  )
  out.add_argument(
    '--value_bound',
    type=float,
    metavar='V',
    help='bound of ||v||, for --window_error (default 1)',
  )
  out.add_argument(
    '--witness',
    action='store_true',
    help='write a text on which --window keys are wrong by the whole value',
  )
  out.add_argument('--window', type=int, metavar='W', help='for --witness')
  out.add_argument('--head', type=int, help='for --witness; default: shortest')
  out.add_argument(
    '--out', type=paths.path, metavar='DIR', help='for --witness (default .)'
  )
  out.add_argument('--format', choices=('text', 'json', 'csv'), default='text')
  out.add_argument(
    '--figure',
    type=paths.path,
    metavar='FILE.png',
    help='weight, tail and TRF by distance',
  )
  return out


def main(argv: list[str]) -> None:
  """Prints the records that the flags ask for."""
  args = parser().parse_args(argv)
  _one_subject(args)
  args.broken = {}  # encodings of --all that are left out, and why
  try:
    _load_files(args)
    if args.witness:
      if args.geometry is not None:
        raise ValueError(
          '--witness writes a text, which is a line: leave --geometry out'
        )
      print(_witness(args))
      return
    if {args.window, args.head, args.out} != {None}:
      raise ValueError('--window, --head and --out need --witness')
    records, train = run(args)
  except ValueError as e:  # of other libraries: many lines
    raise ValueError(' '.join(str(e).split())) from e
  except OverflowError as e:
    raise ValueError(f'a number that no float64 holds: {e}') from e
  sys.set_int_max_str_digits(0)
  if args.format == 'json':
    print(json.dumps(records[0] if len(records) == 1 else records, indent=2))
  else:
    show(args, records, train)
  if args.broken:
    raise ValueError(
      f'{len(args.broken)} encodings were left out: {", ".join(args.broken)} '
      '(why: see above)'
    )


def show(args: argparse.Namespace, records: list[dict], train: int) -> None:
  """As a table, or as CSV."""
  from extrapolation.theory import space_table, table

  if 'shapes' not in records[0]:
    table.write(records) if args.format == 'csv' else table.show(records, train)
  elif args.format == 'csv':
    space_table.write(records)
  else:
    (space_table.compare if args.all else space_table.show)(records)


def _one_subject(args: argparse.Namespace) -> None:
  """An error unless the flags ask about one thing, or a run and its file."""
  given = [args.formula, args.function, args.workdir, args.all or None]
  others = sum(x is not None for x in given)
  if not others and args.rpe is None:
    parser().error(
      'one of --rpe --formula --function --all --workdir is required'
    )
  if args.rpe is not None and others and args.workdir is None:
    parser().error('--rpe: not allowed with --formula, --function, --all')


def _load_files(args: argparse.Namespace) -> None:
  """Runs the files of --rpe; from then on `args.rpe` has their names."""
  if args.rpe is not None:
    from extrapolation.theory import arguments

    heads = None if args.workdir else args.heads
    args.rpe = arguments.run_files(args.rpe, heads)


def run(args: argparse.Namespace) -> tuple[list[dict], int]:
  """The records asked for, and the training length that they used."""
  from extrapolation.theory.expression import grammar

  if args.formula is not None and ':' not in args.formula:
    grammar.parse(args.formula)  # reports a typo before jax is loaded
  from extrapolation.theory import answer, arguments, space_answer, trained
  from extrapolation.theory.expression.graph import value_missing

  if args.workdir and args.geometry is None:  # that of an encoder
    args.geometry = trained.about(args.workdir).get('geometry')
  asked = arguments.asked(args)
  record = answer.record if asked.space is None else space_answer.record
  if args.workdir:
    run = trained.read(args.workdir)
    if args.train_length is None:
      asked = dataclasses.replace(asked, train=run.train_length)
    subjects, records = [run.after], [record(run.after, asked)]
    records[0]['before'] = record(run.before, asked)['heads']
  else:
    subjects = arguments.subjects(args)
    if asked.window is not None and all(s.parameters for s in subjects):
      raise value_missing(subjects[0].parameters[0])
    records = [record(subject, asked) for subject in subjects]
  if args.figure:
    from extrapolation.theory import figure

    figure.save(args.figure, subjects, records, asked)
  return records, asked.train


def _witness(args: argparse.Namespace) -> str:
  """What --witness writes."""
  from extrapolation.theory import arguments, trained, witness_report

  if args.window is None:
    raise ValueError('--witness needs --window, in keys')
  if args.workdir:
    subject, more = trained.read(args.workdir).after, False
  else:
    subject, *more = arguments.subjects(args)
  if more:
    raise ValueError('--witness takes one encoding, or one formula')
  where = args.out or '.'
  return witness_report.write(subject, args.window, args.head, where)


if __name__ == '__main__':
  cli.run(main, prints=True)
