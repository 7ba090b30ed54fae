"""Prepares text for training, once, and says what it holds.

python -m extrapolation.data --source=files:DIR --tokenizer=bpe --out=DIR
python -m extrapolation.data --source=tfds:wikitext2 --manual_dir=DIR

Training does the same by itself; with --out the result is a folder of its own
that can be copied, and read as --config.data.source=prepared:DIR.
"""

import inspect
import logging
import time

from extrapolation import cli
from extrapolation.cli import flags
from extrapolation.data import prepare, sources

log = logging.getLogger('extrapolation.data')  # also as __main__

HELP = dict(
  source=sources.FORMS.replace('%', '%%'),
  valid='another source, for validation',
  test='another source, to test',
  separator="line between documents; 'wikitext' is its articles",
  tokenizer='bytes | bpe | unigram | gpt2 | gpt2:DIR | PATH.json',
  vocab='tokens of bpe and unigram',
  manual_dir='folder of the files that a TFDS builder reads',
  cache='default: ~/.cache/extrapolation',
  out='folder to write, in place of one in the cache',
)


def parser() -> flags.Parser:
  out = flags.Parser(__doc__)
  defaults = inspect.signature(prepare).parameters
  for name, text in HELP.items():
    default = defaults[name].default
    shown = f' (default {default})' if default else ''
    out.add_argument(
      f'--{name}', default=default, type=type(default), help=text + shown
    )
  return out


def main(argv: list[str]) -> None:
  args = vars(parser().parse_args(argv))
  start = time.monotonic()
  dataset = prepare(**args)
  log.info('%s', dataset.summary())
  log.info('%.1f s; %s', time.monotonic() - start, dataset.folder)


if __name__ == '__main__':
  cli.run(main)
