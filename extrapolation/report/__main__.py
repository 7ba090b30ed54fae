"""A sweep's evidence: `python -m extrapolation.report --workdir=DIR`.

Writes a CSV, a figure, and one HTML page that holds all there is to know of
the sweep, finished or not: perplexity by length, what theory predicts and
whether it came true, training, what was learned, and what is missing.
"""

from extrapolation import cli, report, rpe
from extrapolation.cli import paths


def main(argv: list[str]) -> None:
  parser = cli.parser(__doc__)
  parser.add_argument(
    '--workdir',
    type=paths.path,
    required=True,
    metavar='DIR',
    help='the folder of a sweep',
  )
  rpe.add_flag(parser)
  report.write(parser.parse_args(argv).workdir)


if __name__ == '__main__':
  cli.run(main)
