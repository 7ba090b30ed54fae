"""The subjects, and what is asked of them, that the flags of theory name."""

import argparse
import logging
from fractions import Fraction

import numpy as np

from extrapolation import rpe
from extrapolation.cli import values
from extrapolation.rpe import check
from extrapolation.theory import (
  certified_window,
  readout,
  shapes,
  space,
  trf_bounds,
)
from extrapolation.theory import subjects as reading
from extrapolation.theory.answer import Asked
from extrapolation.theory.certified_window import ErrorBound
from extrapolation.theory.expression import grammar
from extrapolation.theory.readout import Readout
from extrapolation.theory.shapes import Shapes
from extrapolation.theory.space import Space
from extrapolation.theory.subjects import Subject

log = logging.getLogger('extrapolation.theory')

NEAR = 64  # distances at which the bias of a user's file is looked at
LENGTHS = 'horizon', 'train_length'  # in tokens
OF_A_LINE = (*LENGTHS, 'window_error', 'value_bound', 'figure')
MOST_HEADS, MOST_NAMES, MOST_SHARES = 512, 64, 64


def asked(args: argparse.Namespace) -> Asked:
  """What the flags ask of every head.

  Raises:
    ValueError: a flag out of its range.
  """
  if args.eps.count(',') >= MOST_SHARES:
    raise ValueError(f'--eps: at most {MOST_SHARES} shares')
  shares = values.items(args.eps, spaces=True)
  if not shares:
    raise ValueError('--eps is empty: give one or more shares in (0, 1)')
  horizon = 9216 if args.horizon is None else args.horizon
  if horizon < 2:
    raise ValueError(f'horizon = {horizon}: at least 2 tokens')
  train = 512 if args.train_length is None else args.train_length
  if train < 1:
    raise ValueError(f'train_length = {train}: at least 1 token')
  eps = {e: trf_bounds.share(e) for e in shares}
  where, of = _space(args)
  read = _readout(args, where)
  return Asked(
    eps, horizon, train, _window(args), args.logit_bound, where, of, read
  )


def _readout(args: argparse.Namespace, where: Space | None) -> Readout | None:
  """The trained shape as --layers reads it."""
  if args.layers is None:
    return None
  if where is None or args.train is None:
    raise ValueError(
      '--layers is of a shape in a space: give --geometry and --train, such as '
      'grid and 16x32'
    )
  return readout.of(where, args.train, args.layers)


def _space(args: argparse.Namespace) -> tuple[Space | None, Shapes | None]:
  """Where the keys are, and the shapes in it."""
  where, given = space.of(args.geometry), [args.train, args.test]
  if where is None:
    if given != [None, None]:
      raise ValueError(
        '--train and --test are shapes of another --geometry than a line, such '
        'as grid:2; of a line give --train_length and --horizon'
      )
    return None, None
  if args.layers is not None and args.test is None:  # which --train is all of
    given[1] = args.train
  for flag in OF_A_LINE:
    if getattr(args, flag) is not None:
      raise ValueError(
        f'--{flag} is of a line of tokens, and {where.label} is none: leave it '
        f'out{"; give --train=SIZE --test=SIZE" if flag in LENGTHS else ""}'
      )
  if None in given:
    if given != [None, None]:
      raise ValueError('--train and --test go together: give both sizes')
    if args.logit_bound is not None:
      raise ValueError(
        f'--logit_bound in {where.label} is for the share of far keys: give '
        '--train and --test'
      )
    return where, None
  return where, shapes.of(where, *given)


def _window(args: argparse.Namespace) -> ErrorBound | None:
  error, M, v = args.window_error, args.logit_bound, args.value_bound
  if error is None:
    if v is not None:
      raise ValueError('--value_bound needs --window_error')
    if M is not None:  # for the share of far keys
      certified_window.allowed(1, M, 1)
    return None
  if M is None:
    raise ValueError(
      '--window_error needs --logit_bound: a bound of the logits'
    )
  bound = ErrorBound(error, M, 1.0 if v is None else v)
  certified_window.allowed(bound.error, bound.M, bound.v)
  return bound


def run_files(specs: str, heads: int | None) -> str:
  """The encodings of --rpe, with files that are run now by their names.

  Args:
    heads: with which the bias of a file is looked at; None beside --workdir,
      whose run has one encoding: nothing but its file may be named then.

  Raises:
    ValueError: a file that is no encoding.
  """
  named = []
  for spec in values.items(specs):
    kernel, hyper = rpe.parse(spec)
    if heads is None and not rpe.is_file(kernel):
      raise ValueError(
        f'--rpe={spec} beside --workdir: there it is FILE.py, the encoding of '
        'that run'
      )
    if rpe.is_file(kernel):
      rpe.load(kernel)
      typed = rpe.typed(kernel, hyper, rpe.defaults(kernel))
      if heads and heads > 0:
        check.check(rpe.get(kernel, heads, **typed), heads, NEAR)
    named.append(rpe.write(kernel, hyper))
  return ','.join(named)


def subjects(args: argparse.Namespace) -> list[Subject]:
  """Those of --formula, --function, --rpe or --all.

  An encoding of --all that cannot be read is left out, and put into
  `args.broken` with the reason.

  Raises:
    ValueError: one that was named cannot be read; the message says why.
  """
  given = {k: grammar.number(v) for k, v in _pairs(args.set, '--set').items()}
  if not 1 <= args.heads <= MOST_HEADS:
    raise ValueError(
      f'heads = {args.heads}: at least 1 is needed, at most {MOST_HEADS}'
    )
  if args.formula is not None:
    return [reading.read(args.formula, given)]
  if args.function:
    function = reading.load(args.function)
    return [reading.read(function, given or None, args.function)]
  names = rpe.names() if args.all else values.items(args.rpe)
  if len(names) > MOST_NAMES:
    raise ValueError(f'--rpe: at most {MOST_NAMES} encodings')
  texts = {} if args.all else _pairs(args.rpe_args, '--rpe_args')
  out = []
  for spec in names:
    try:
      out.append(_encoding(spec, args.heads, texts, given))
    except Exception as e:  # whatever a file of the user's own raises
      if not args.all or given:
        raise
      args.broken[spec] = ' '.join(str(e).split())
      log.warning('left out: encoding %r: %s', spec, args.broken[spec])
  return out


def _encoding(
  spec: str, H: int, texts: dict[str, str], given: dict[str, Fraction]
) -> Subject:
  """NAME:KEY=VALUE with more hyperparameters, and values of --set."""
  name, own = rpe.parse(spec)
  typed = rpe.typed(name, own | texts, rpe.defaults(name))
  layers = rpe.layers(name, H, **typed)
  symbols = [reading.symbols(layer) for layer in layers]
  has = list(dict.fromkeys(key for params in symbols for key in params))
  for key, value in given.items():
    if key not in has:
      known = ', '.join(has) or 'none'
      raise ValueError(f'{name} has no parameter {key!r}; it has: {known}')
    for params in symbols:
      if key in params:
        params[key] = np.full_like(params[key], value)
  if len(layers) == 1:
    return reading.read(layers[0], symbols[0], spec)
  read = map(reading.read, layers, symbols, (e.name for e in layers))
  return reading.together([*read], spec)


def _pairs(text: str, flag: str) -> dict[str, str]:
  out = {}
  for pair in filter(None, text.split(',')):
    key, equals, value = pair.partition('=')
    if not equals or not key.strip() or not value.strip():
      raise ValueError(f'{flag}={text}: write it as name=value,name=value')
    out[key.strip()] = value.strip()
  return out
