"""Prepares text for training, once, and says what it holds.

python -m extrapolation.data --source=files:DIR --tokenizer=bpe --out=DIR
python -m extrapolation.data --source=tfds:wikitext2 --manual_dir=DIR
python -m extrapolation.data --source=probe:needle:values=4

Training does the same by itself; with --out the result is a folder of its own
that can be copied, and read as --config.data.source=prepared:DIR. Of a probe,
which is drawn as it is read, it prints the vocabulary, the room and an example.
"""

import inspect
import logging
import re
import time
from typing import Any

from extrapolation import cli
from extrapolation.cli import flags
from extrapolation.data import prepare, sources
from extrapolation.data.drawn import is_task
from extrapolation.data.sources import split_names
from extrapolation.output import table

log = logging.getLogger('extrapolation.data')  # also as __main__

HELP = dict(
  source=sources.FORMS.replace('%', '%%'),
  valid='another source, for validation',
  test='another source, to test',
  separator="line between documents; 'blank' lines; 'wikitext' is its articles",
  field='of the text in a record; default: text, or the only one',
  splits='names of files say train, valid, test | none: all is one text',
  tokenizer='bytes | bpe | unigram | gpt2 | gpt2:DIR | file:PATH | PATH.json',
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
  out.add_argument(
    '--dry_run', action='store_true', help='print what is read as what'
  )
  return out


def dry_run(args: dict[str, Any]) -> None:
  """Prints which file goes to which split, and why, before any is read."""
  named = [args[key] for key in ('source', 'valid', 'test')]
  for source in named:
    drawn = re.search(r'tfds:|hf:|wikibook|prepared:|probe:', source)
    if drawn or is_task(source):
      raise ValueError(f'--dry_run shows files; {source} has splits of its own')
  options = sources.Options(args['separator'], args['field'], args['splits'])
  rows = []
  for part in sources.parts(named[0], named[1], named[2], options):
    rows += [(i.name, i.split, i.kind, part.why) for i in part.inputs]
    rows += [(name, '-', '-', why) for name, why in part.left_out]
    rows += [
      ('-', split, '-', '5 % held out of train')
      for split in sources.held_out(part)
    ]
  columns = ('file', 'split', 'read', 'why')
  shown = [(split_names.shown(name), *rest) for name, *rest in rows]
  lines = [dict(zip(columns, row, strict=True)) for row in shown]
  log.info('%s', table.text(lines, columns))


def main(argv: list[str]) -> None:
  args = vars(parser().parse_args(argv))
  if args.pop('dry_run'):
    dry_run(args)
    return
  start = time.monotonic()
  dataset = prepare(**args)
  log.info('%s', dataset.summary())
  if dataset.manifest.get('key'):  # of a folder
    log.info('%.1f s; %s', time.monotonic() - start, dataset.folder)


if __name__ == '__main__':
  cli.run(main)
