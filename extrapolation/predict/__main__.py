"""Predictions before training: `python -m extrapolation.predict --config=...`.

  --config=demo                             all encodings of its sweep
  --config=demo --rpe=alibi,harmonic        these
  --config=demo --workdir=runs/demo         registers it, for the sweep
  --fit --out=DIR                           the law anew, from recorded studies

For every encoding and evaluation length: perplexity over that at the training
length, from far mass and a law fitted on recorded studies, and the distance at
which a needle still holds half of attention; each with an interval, and with
what the law has never seen. prediction.json in --workdir or --out holds it all,
with a hash; `sweep` keeps it and `report` scores it.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

from extrapolation import cli, config, rpe
from extrapolation.cli import flags, paths
from extrapolation.output import files
from extrapolation.predict import (
  figure,
  fit,
  law_text,
  predicted,
  record,
  study,
  text,
)
from extrapolation.predict import law as laws

log = logging.getLogger('extrapolation.predict')  # also as __main__


def fit_law(folders: Sequence[str], out: str) -> None:
  """Fits the law on studies; writes law.json and law.png in `out`.

  Raises:
    ValueError: a folder that is no study, or too few encodings.
  """
  read = study.read_all(folders)
  fit.encodings(read)
  files.writable(out)
  law = fit.law(read, folders)
  law = dataclasses.replace(law, about={**record.origin(), **law.about})
  path = pathlib.Path(out) / laws.NAME
  laws.write(path, law)
  figure.law(path.with_suffix('.png'), law)
  log.info('%s', law_text.law(law))
  log.info('\nwrote %s, law.png', path)


def main(argv: list[str]) -> None:
  words, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__, rpe.names())
  add = parser.add_argument
  add('--config', metavar='FILE.py[:ARG]')
  add('--rpe', metavar='SPEC,..', help="in place of the config's sweep.rpe")
  add('--workdir', type=paths.path, metavar='DIR',
      help='of a sweep that has not begun: register it there')  # fmt: skip
  add('--out', type=paths.path, metavar='DIR', help='folder to write in')
  add('--law', type=paths.path, metavar='FILE',
      help=f'default: {laws.default()}')  # fmt: skip
  add('--fit', action='store_true', help='fit the law; needs --out')
  add(
    '--studies', type=paths.several, metavar='DIR,..',
    help='of finished sweeps, for --fit; default: those in results/',
  )  # fmt: skip
  args = parser.parse_args(words)
  if args.fit:
    _only(parser, args.out and not (args.config or args.workdir or args.rpe),
          '--fit needs --out=DIR, and takes --studies alone')  # fmt: skip
    fit_law(args.studies or study.recorded(), args.out)
    return
  _only(parser, args.config, '--config is required, or --fit')
  _only(parser, not args.studies, '--studies needs --fit')
  _only(parser, not (args.workdir and args.out),
        'give --workdir or --out, not both')  # fmt: skip
  if args.rpe is not None:
    overrides['sweep.rpe'] = args.rpe
  e = config.load(args.config, overrides)
  law = laws.read(args.law or '')
  made = record.make(e, law, predicted.of(e, law))
  where = args.workdir or args.out
  if where:
    made = record.write(where, made)
  log.info('%s', text.prediction(made))
  log.info('\nlaw: %s', law.path)
  if where:
    log.info(
      'registered %s, %s: %s', made.time,
      pathlib.Path(where) / record.NAME, made.sha256,
    )  # fmt: skip


def _only(parser: flags.Parser, right: object, message: str) -> None:
  if not right:
    parser.error(message)


if __name__ == '__main__':
  cli.run(main)
