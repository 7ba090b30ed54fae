"""Runs the study of configs/study: every question, in the order of its weight.

  python launch/study.py --data=DIR --workdir=runs/study --hours=4
  python launch/study.py --data=DIR --workdir=runs/study --dry_run

DIR holds the folders wikitext2, books and code, each with train.txt.xz,
valid.txt.xz and test.txt.xz. Every question, on every corpus of its own, is a
sweep in a folder of --workdir, with its prediction, made before its first run,
and its report, made after its last. A round takes the next two encodings of
each, all seeds of one corpus after the other, so that whenever the study ends
what was begun is whole: seeds before corpora before encodings. What is finished
is skipped: the same command again goes on. After --hours no further runs are
taken; those of a call of the sweep, six as a rule, end first.
`--config.KEY=VALUE` is passed on to all sweeps.
"""

import contextlib
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the same code as `python -m` runs here

from configs.study import common  # noqa: E402
from extrapolation import cli, config  # noqa: E402
from extrapolation.cli import flags, paths  # noqa: E402
from extrapolation.output import exit_codes, table  # noqa: E402
from extrapolation.runs import machine, sweep_grid  # noqa: E402

CONFIGS = ROOT / 'configs' / 'study'
ENCODINGS = 2  # of a round
SPLITS = 'train.txt.xz', 'valid.txt.xz', 'test.txt.xz'


class Question(NamedTuple):
  """A config of configs/study.

  Attributes:
    name: of its file.
    seconds: of one core, for a run with its evaluations.
    corpora: one sweep each; none reads no text.
  """

  name: str
  seconds: float
  corpora: tuple[str, ...] = ('',)


# Seconds as results/STUDY.md says how they were measured.
QUESTIONS = (
  Question('far_mass', 110, tuple(common.CORPORA)),
  Question('retrieval', 80),
  Question('both', 55, ('wikitext2',)),
  Question('one_head', 110, ('wikitext2',)),
  Question('rate', 110, ('wikitext2',)),
  Question('settings', 14, ('wikitext2',)),
  Question('out_of_sample', 220, ('code',)),
)


class Call(NamedTuple):
  """Runs that one call of the sweep does.

  Attributes:
    number: of its round, from 1.
    spec: of its config, FILE.py[:ARG].
    folder: of its sweep.
    runs: names of all of its runs, and whether each is finished.
    steps: of training, of one run.
    seconds: of one core, of one run.
  """

  number: int
  spec: str
  folder: pathlib.Path
  runs: dict[str, bool]
  steps: int
  seconds: float

  @property
  def left(self) -> int:
    return sum(not done for done in self.runs.values())

  def hours(self, workers: int) -> float:
    """That what is left takes."""
    return self.left * self.seconds / workers / 3600


def plan(
  data: str, workdir: str, overrides: dict[str, str]
) -> tuple[Call, ...]:
  """All calls, in their order.

  Raises:
    ValueError: no such corpus, or a mistake in a config.
  """
  check(data)
  calls = [
    call
    for question in QUESTIONS
    for corpus in question.corpora
    for call in _of_sweep(question, corpus, data, workdir, overrides)
  ]
  return tuple(sorted(calls, key=lambda call: call.number))  # it is stable


def check(data: str) -> None:
  """Raises ValueError where a corpus is not there, before any run."""
  wanted = [f'{c}/{split}' for c in common.CORPORA for split in SPLITS]
  lacking = [x for x in wanted if not pathlib.Path(data, x).is_file()]
  if lacking:
    raise ValueError(
      f'--data={data}: no {lacking[0]} ({len(lacking)} of {len(wanted)} files '
      f'lack); give the folder that holds {", ".join(common.CORPORA)}'
    )


def _of_sweep(
  question: Question,
  corpus: str,
  data: str,
  workdir: str,
  overrides: dict[str, str],
) -> Iterator[Call]:
  spec = str(CONFIGS / f'{question.name}.py')
  name = question.name
  if corpus:
    spec += f':{pathlib.Path(data, corpus).resolve()}'
    name += f'-{corpus}'
  folder = pathlib.Path(workdir).resolve() / name
  e = config.load(spec, overrides)
  by_encoding: dict[str, dict[str, bool]] = {}
  for run, one in sweep_grid.experiments(e):
    done = bool(sweep_grid.evaluated_rows(str(folder / run), one))
    by_encoding.setdefault(one.model.label, {})[run] = done
  each = list(by_encoding.values())
  for first in range(0, len(each), ENCODINGS):
    runs = {
      k: v for of in each[first : first + ENCODINGS] for k, v in of.items()
    }
    number = first // ENCODINGS + 1
    yield Call(number, spec, folder, runs, e.train.steps, question.seconds)


def command(call: Call, overrides: dict[str, str], workers: int) -> list[str]:
  """The sweep that does the runs of a call."""
  words = [sys.executable, '-u', '-m', 'extrapolation.sweep']
  words += [f'--config={call.spec}', f'--workdir={call.folder}']
  words += [f'--run={",".join(call.runs)}', f'--workers={workers}']
  return words + [f'--config.{key}={value}' for key, value in overrides.items()]


def show(calls: Sequence[Call], workers: int) -> str:
  """The plan as a table, with its sums."""
  rows = [
    {
      'round': call.number,
      'sweep': call.folder.name,
      'runs': len(call.runs),
      'finished': len(call.runs) - call.left,
      'steps': f'{call.left * call.steps:,}',
      'hours': f'{call.hours(workers):.2f}',
    }
    for call in calls
  ]
  runs = sum(len(call.runs) for call in calls)
  left = sum(call.left for call in calls)
  steps = sum(call.left * call.steps for call in calls)
  hours = sum(call.hours(workers) for call in calls)
  cores = f'{workers} core{"s" * (workers > 1)}'
  return (
    f'{table.text(rows, list(rows[0]))}\n\n'
    f'{runs} runs, {runs - left} finished; {left} to do, of {steps:,} steps, '
    f'about {hours:.1f} hours of {cores}'
  )


def report(text: str) -> None:
  print(f'[study] {text}', flush=True)


def run(words: Sequence[str]) -> int:
  """Its exit code. A notice, or Ctrl-C, is passed on, and is waited for."""
  child = subprocess.Popen(
    words, cwd=ROOT, start_new_session=True  # Ctrl-C is passed on, once
  )  # fmt: skip
  with _passed_on(child):
    return child.wait()


@contextlib.contextmanager
def _passed_on(child: subprocess.Popen) -> Iterator[None]:
  def stop(number: int, frame: object) -> None:
    del frame
    child.send_signal(number)

  numbers = signal.SIGTERM, signal.SIGINT
  before = [signal.signal(number, stop) for number in numbers]
  try:
    yield
  finally:
    for number, handler in zip(numbers, before, strict=True):
      signal.signal(number, handler)


def main(argv: list[str]) -> int:
  words, overrides = cli.split_overrides(argv)
  p = flags.Parser(__doc__)
  add = p.add_argument
  add('--data', type=paths.path, required=True, metavar='DIR')
  add('--workdir', type=paths.path, required=True, metavar='DIR')
  add('--hours', type=float, default=0.0, metavar='H',
      help='take no further runs after that; 0 is no end')  # fmt: skip
  add('--workers', type=int, default=0, metavar='N',
      help='processes that share the cores; default: one per core')  # fmt: skip
  add('--dry_run', action='store_true', help='print the plan')
  args = p.parse_args(words)
  if not 0 <= args.hours < float('inf'):
    p.error(f'--hours={args.hours:g}: needs a number > 0, or 0 for no end')
  if args.workers < 0:
    p.error(f'--workers={args.workers}: needs >= 1, or 0 to choose')
  workers = args.workers or machine.cores()
  start = time.monotonic()
  calls = plan(args.data, args.workdir, overrides)
  report(f'the plan\n{show(calls, workers)}')
  if args.dry_run:
    return exit_codes.OK
  left, failed = [call for call in calls if call.left], []
  for i, call in enumerate(left):
    if args.hours and time.monotonic() - start >= args.hours * 3600:
      rest = sum(later.left for later in left[i:])
      report(f'{args.hours:g} hours are over; {rest} runs are left to do')
      break
    report(f'round {call.number}, {call.folder.name}: {call.left} runs')
    code = run(command(call, overrides, args.workers))
    # Less than 0 is a signal that came before the sweep could catch it.
    if code in (*exit_codes.AGAIN, exit_codes.INTERRUPTED) or code < 0:
      report('stopped; the same command goes on from here')
      return code
    if code:
      failed.append(f'{call.folder.name}, round {call.number}')
  if failed:
    report(f'failed, see above: {"; ".join(failed)}')
    return exit_codes.USAGE
  return exit_codes.OK


def _main(argv: list[str]) -> None:
  if code := main(argv):
    sys.exit(code)


if __name__ == '__main__':
  cli.run(_main)
