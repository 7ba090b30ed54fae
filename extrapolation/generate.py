"""Text from one run: `python -m extrapolation.generate --workdir=DIR`.

Constant memory and constant time per token, however long the text: a ring of
keys per head, as wide as `--window` says. `certified:ERROR` takes the width
from theory: the output of no attention moves by more than ERROR (relative to
the largest value vector) for what has left the ring, on a sample of text; the
bound printed in the end is that of the text at hand. Where content decides
which keys are near (a clock), the window is a difference of the clock, and the
ring is as long as the text.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from extrapolation import cli, config, data, model, rpe, runs
from extrapolation.cli import compilation_cache, paths, prompts
from extrapolation.evaluation import window_certificate
from extrapolation.runs import asked

log = logging.getLogger('extrapolation.generate')  # also as __main__

LONGEST = 1 << 26  # tokens of one text


class Printer:
  """Writes tokens as text as soon as they make whole characters."""

  def __init__(self, tokenizer: data.Tokenizer, write: Callable[[str], None]):
    self.tokenizer, self.write, self.waiting = tokenizer, write, []

  def __call__(self, token: int) -> None:
    self.waiting.append(token)
    text = self._text(self.waiting)
    if not text.endswith('\ufffd'):
      self._write(len(self.waiting))
    elif len(self.waiting) > 8:  # no character: what no other token changes
      for n in range(len(self.waiting) - 4, 0, -1):
        parts = self.waiting[:n], self.waiting[n:]
        if ''.join(map(self._text, parts)) == text:
          self._write(n)
          break

  def close(self) -> None:
    """Writes what is left, characters or not."""
    self._write(len(self.waiting))

  def _text(self, tokens: list[int]) -> str:
    return self.tokenizer.decode(np.asarray(tokens, np.int64))

  def _write(self, n: int) -> None:
    if n:
      self.write(self._text(self.waiting[:n]))
      self.waiting = self.waiting[n:]


def generate(
  workdir: str,
  prompt: str = '',
  tokens: int = 256,
  window: str = 'full',
  seed: int = 0,
  step: int | None = None,
  write: Callable[[str], None] | None = None,
  **sampling: Any,
) -> list[int]:
  """Continues `prompt` by `tokens` tokens, written as they come; returns them.

  Raises:
    ValueError, OSError: as `runs.load`, `window_certificate.windows` and
      `model.Sampling`.
  """
  write = write or (lambda text: print(text, end='', flush=True))
  draw = model.Sampling(**sampling)
  if not 1 <= tokens <= LONGEST:
    raise ValueError(f'--tokens={tokens}: needs >= 1, <= {LONGEST}')
  if not 0 <= seed < 2**32:
    raise ValueError(f'--seed={seed}: needs 0 .. 2^32 - 1')
  asked.decoder(runs.load_config(workdir), 'generation')
  r = runs.load(workdir, step, text=False)
  ids = [r.tokenizer.eos, *map(int, r.tokenizer.encode(prompt))]
  model.check_length(r.model, len(ids) + tokens)
  kept = window_certificate.windows(window, r, length := len(ids) + tokens)
  write(prompt)
  printer, made = Printer(r.tokenizer, write), []
  start = time.monotonic()
  error, tails = config.keys_or_error(window), None
  if isinstance(error, float):
    tails = window_certificate.bounded_tails(r.model, r.params, length, kept)
  stream = model.Stream(
    r.model, r.params, ids, kept.keys, draw, seed, tails, kept.clock, length
  )
  for token in stream:
    if not made:  # compiled by now
      start = time.monotonic()
    made.append(token)
    printer(token)
    if len(made) == tokens:
      break
  printer.close()
  write('\n')
  speed = (tokens - 1) / max(time.monotonic() - start, 1e-9)
  log.info('%s tokens, %s tokens/s', f'{tokens:,}', f'{speed:,.0f}')
  if isinstance(error, float):
    _report(stream.lost(), error)
  return made


def _report(lost: float, wanted: float) -> None:
  """The bound that holds for the text at hand, not for a sample alone."""
  log.info(
    'keys outside of the windows moved no output of an attention in this '
    'text by more than %.3g of its largest value vector',
    lost,
  )
  if lost > wanted:
    log.warning(
      'that is more than the %g promised by held-out text: for %g on this text '
      'ask for less, such as --window=certified:%.2g',
      wanted,
      wanted,
      wanted**2 / lost,
    )


def main(argv: list[str]) -> None:
  parser = cli.parser(__doc__)
  add = parser.add_argument
  add(
    '--workdir',
    type=paths.path,
    required=True,
    metavar='DIR',
    help='the folder of a run',
  )
  add('--prompt', default='', metavar='TEXT',
      help='to continue; @FILE: that file, as it is; -: standard input; @@ is '
      'the letter @')  # fmt: skip
  add('--tokens', type=int, default=256, help='tokens to write')
  add('--window', default='full', help='full | N | certified:ERROR')
  add('--temperature', type=float, default=1.0, help='0 is greedy')
  add('--top_k', type=int, default=0, help='0 is all')
  add('--top_p', type=float, default=1.0)
  add('--seed', type=int, default=0)
  add('--step', type=int, help='of the checkpoint; default: the newest')
  rpe.add_flag(parser)
  args = parser.parse_args(argv)
  args.prompt = prompts.read(args.prompt)
  compilation_cache.enable()
  generate(**vars(args))


if __name__ == '__main__':
  cli.run(main)
