"""What can be known of an encoding, from the command line.

python -m extrapolation.theory --rpe=type2 --heads=8 --eps=0.1,0.01,0.001
python -m extrapolation.theory --formula='-r1*log(1+r2*t)'
python -m extrapolation.theory --formula='-r1*log(1+t)' --set=r1=1.05
python -m extrapolation.theory --function=my_package.my_module:my_bias
python -m extrapolation.theory --all --heads=8
python -m extrapolation.theory --workdir=DIR
python -m extrapolation.theory --rpe=alibi --window_error=0.01 --logit_bound=5
python -m extrapolation.theory --witness --rpe=harmonic --window=512
"""

import argparse
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from extrapolation import cli
from extrapolation.cli import flags, paths, values

if TYPE_CHECKING:  # jax and sympy are loaded when the flags have been read
  from extrapolation import rpe
  from extrapolation.theory.certified_window import ErrorBound

log = logging.getLogger('extrapolation.theory')  # also as __main__

NEAR = 64  # distances at which the bias of a user's file is looked at
MOST_HEADS, MOST_NAMES, MOST_SHARES = 512, 64, 64


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
  out.add_argument('--eps', default='0.1,0.01,0.001', help='shares, exact')
  out.add_argument(
    '--horizon', type=int, default=9216, help='tokens (default 9216)'
  )
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
  own = parser()
  args = own.parse_args(argv)
  _one_subject(own, args)
  args.broken = {}  # encodings of --all that are left out, and why
  try:
    args.rpe = _run_files(args.rpe or '', None if args.workdir else args.heads)
    if args.witness:
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
    from extrapolation.theory import table

    if args.format == 'csv':
      table.write(records)
    else:
      table.show(records, train)
  if args.broken:
    raise ValueError(
      f'{len(args.broken)} encodings were left out: {", ".join(args.broken)} '
      '(why: see above)'
    )


def _one_subject(own: flags.Parser, args: argparse.Namespace) -> None:
  """An error unless the flags ask about one thing, or a run and its file."""
  given = [args.formula, args.function, args.workdir, args.all or None]
  others = sum(x is not None for x in given)
  if not others and args.rpe is None:
    own.error('one of --rpe --formula --function --all --workdir is required')
  if args.rpe is not None and others and args.workdir is None:
    own.error('--rpe: not allowed with --formula, --function, --all')
  from extrapolation import rpe

  kernels = [rpe.parse(spec)[0] for spec in values.items(args.rpe or '')]
  if args.workdir is not None and not all(map(rpe.is_file, kernels)):
    own.error('--rpe beside --workdir is FILE.py, the encoding of that run')


def _run_files(specs: str, heads: int | None) -> str:
  """The encodings of --rpe, with files that are run now by their names.

  Args:
    heads: with which the bias of a file is looked at; None: it is not.
  """
  from extrapolation import rpe

  named = []
  for spec in values.items(specs):
    kernel, hyper = rpe.parse(spec)
    if rpe.is_file(kernel):
      from extrapolation.rpe import check

      rpe.load(kernel)
      typed = rpe.typed(kernel, hyper, rpe.defaults(kernel))
      if heads and heads > 0:
        check.check(rpe.get(kernel, heads, **typed), heads, NEAR)
    named.append(rpe.write(kernel, hyper))
  return ','.join(named)


def run(args: argparse.Namespace) -> tuple[list[dict], int]:
  """The records asked for, and the training length that they used."""
  from extrapolation.theory.expression import grammar

  if args.formula is not None and ':' not in args.formula:
    grammar.parse(args.formula)  # reports a typo before jax is loaded
  from extrapolation import rpe
  from extrapolation.theory import (
    answer,
    head_formulas,
    trained,
    trf_bounds,
  )

  if args.eps.count(',') >= MOST_SHARES:
    raise ValueError(f'--eps: at most {MOST_SHARES} shares')
  shares = values.items(args.eps, spaces=True)
  if not shares:
    raise ValueError('--eps is empty: give one or more shares in (0, 1)')
  eps = {e: trf_bounds.share(e) for e in shares}
  if args.horizon < 2:
    raise ValueError(f'horizon = {args.horizon}: at least 2 tokens')
  train = 512 if args.train_length is None else args.train_length
  if train < 1:
    raise ValueError(f'train_length = {train}: at least 1 token')
  window, M = _window(args), args.logit_bound
  if args.workdir:
    read = trained.read(args.workdir)
    train = read.train_length if args.train_length is None else train
    first, last = (
      answer.record(args.workdir, heads, eps, args.horizon, train, window, M)
      for heads in (read.before, read.after)
    )
    last['subject'] = f'{args.workdir}: {read.name}'
    last['before'] = first['heads']
    records, subjects = [last], {last['subject']: read.after}
    of = trained.about(args.workdir)
    encoding = rpe.get(of['name'], int(of['H']), **of['hyper'])
    silent = {last['subject']: head_formulas.not_judged(encoding)}
  else:
    subjects, silent = _subjects(args)
    records = [
      answer.record(name, heads, eps, args.horizon, train, window, M)
      for name, heads in subjects.items()
    ]
  for record in records:
    subject = record['subject']
    record['parameters'] = head_formulas.parameters(subjects[subject])
    if why := silent.get(subject):
      for head in [*record['heads'], *record.get('before', ())]:
        head |= dict(verdict='not judged', argument=why, margin=None, trf={})
        unseen = dict(n=args.horizon, far_mass=None, exponent=None, trf=None)
        head |= dict(far=None, horizon=unseen)
  if args.figure:
    from extrapolation.theory import figure

    figure.save(args.figure, subjects, records, train, args.horizon)
  return records, train


def _witness(args: argparse.Namespace) -> str:
  """What --witness writes."""
  from extrapolation.theory import trained, witness_report

  if args.window is None:
    raise ValueError('--witness needs --window, in keys')
  if args.workdir:
    name, heads, more = args.workdir, trained.read(args.workdir).after, False
  else:
    subjects, silent = _subjects(args)
    ((name, heads), *more) = subjects.items()
    if why := silent.get(name):
      raise ValueError(f'{name} is not judged: {why}')
  if more:
    raise ValueError('--witness takes one encoding, or one formula')
  where = args.out or '.'
  return witness_report.write(name, heads, args.window, args.head, where)


def _window(args: argparse.Namespace) -> 'ErrorBound | None':
  """What the flags of the window ask for."""
  from extrapolation.theory import certified_window

  if args.window_error is None:
    if args.value_bound is not None:
      raise ValueError('--value_bound needs --window_error')
    if args.logit_bound is not None:  # for the share of far keys
      certified_window.allowed(1, args.logit_bound, 1)
    return None
  if args.logit_bound is None:
    raise ValueError(
      '--window_error needs --logit_bound: a bound of the logits'
    )
  v = 1.0 if args.value_bound is None else args.value_bound
  certified_window.allowed(args.window_error, args.logit_bound, v)
  return certified_window.ErrorBound(args.window_error, args.logit_bound, v)


def _subjects(
  args: argparse.Namespace,
) -> tuple[dict[str, list], dict[str, str]]:
  """The heads of each subject by its name, and why it is not judged."""
  from extrapolation import rpe
  from extrapolation.theory import head_formulas
  from extrapolation.theory.expression import grammar

  given = {k: grammar.number(v) for k, v in _pairs(args.set, '--set').items()}
  if not 1 <= args.heads <= MOST_HEADS:
    raise ValueError(
      f'heads = {args.heads}: at least 1 is needed, at most {MOST_HEADS}'
    )
  if args.formula is not None:
    text = args.formula
    return {text: [head_formulas.formula(text).read(given)]}, {}
  if args.function:
    function = head_formulas.load(args.function)
    heads = head_formulas.heads(function, given or None)
    return {args.function: heads}, {
      args.function: head_formulas.not_judged(function)
    }
  names = rpe.names() if args.all else values.items(args.rpe)
  if len(names) > MOST_NAMES:
    raise ValueError(f'--rpe: at most {MOST_NAMES} encodings')
  out, silent = {}, {}
  for spec in names:
    name, texts = rpe.parse(spec)
    texts |= {} if args.all else _pairs(args.rpe_args, '--rpe_args')
    try:
      encoding = rpe.get(name, args.heads, **_hyper(name, texts))
      heads = head_formulas.heads(encoding, _filled(encoding, given))
    except Exception as e:  # whatever a file of the user's own raises
      if not args.all or given:
        raise
      args.broken[name] = ' '.join(str(e).split())
      log.warning('left out: encoding %r: %s', name, args.broken[name])
      continue
    out[spec] = heads
    silent[spec] = head_formulas.not_judged(encoding)
  return out, silent


def _filled(encoding: 'rpe.RPE', given: dict) -> dict:
  """Learned parameters with the values of --set, one for all heads."""
  from extrapolation.theory import head_formulas

  params = head_formulas.symbols(encoding)
  for key, value in given.items():
    if key not in params:
      has = ', '.join(params) or 'none'
      raise ValueError(
        f'{encoding.name} has no parameter {key!r}; it has: {has}'
      )
    params[key] = params[key].copy()
    params[key].fill(value)
  return params


def _hyper(name: str, texts: dict[str, str]) -> dict[str, Any]:
  """Hyperparameters, each of the type of its default."""
  from extrapolation import rpe

  defaults, out = rpe.defaults(name), {}
  for key, text in texts.items():
    kind = type(defaults.get(key, 0.0))
    try:
      out[key] = kind(text)
    except ValueError:
      raise ValueError(f'{key} = {text!r} is not a {kind.__name__}') from None
  return out


def _pairs(text: str, flag: str) -> dict[str, str]:
  out = {}
  for pair in filter(None, text.split(',')):
    key, equals, value = pair.partition('=')
    if not equals or not key.strip() or not value.strip():
      raise ValueError(f'{flag}={text}: write it as name=value,name=value')
    out[key.strip()] = value.strip()
  return out


if __name__ == '__main__':
  cli.run(main, prints=True)
