"""Many runs: `python -m extrapolation.sweep --config=... --workdir=DIR`.

Encodings x seeds, each a run in its own folder under DIR, trained and then
evaluated; finished ones are skipped, so the same command again goes on where
it stopped. What is predicted of them is written to DIR/prediction.json before
the first is trained, and scored in the report. On a CPU several workers share
the cores (`--workers`). Give the command on as many machines as share the
folder, too: each worker takes runs that nobody is working on, and takes up
those of lost workers. Each ends, with the same report, when all runs are done.
"""

import functools
import logging
import os
import pathlib
import time

from extrapolation import cli, config, evaluate, probe, report, rpe, train
from extrapolation.cli import allocator, compilation_cache, paths, values
from extrapolation.output import exit_codes
from extrapolation.parallel import preemption
from extrapolation.predict import registration
from extrapolation.runs import leases, left_out, sweep_grid, worker_pool
from extrapolation.runs.sweep_worker import Worker

log = logging.getLogger('extrapolation.sweep')  # also as __main__

Runs = dict[str, config.Experiment]


def sweep(
  e: config.Experiment,
  workdir: str,
  seconds: float = leases.SECONDS,
  only: tuple[str, ...] = (),
  make_report: bool = True,
) -> list[dict]:
  """Trains and evaluates every run that is not finished; then reports.

  A run that fails is reported at the end and does not stop the others.

  Args:
    seconds: without a sign of life after which another machine's run is taken
      up; equal for all workers.
    only: names of the runs to do, and to wait for; all of them if empty.
    make_report: at the end; else that is left to another worker, as is to tell
      of what this one did not do.

  Raises:
    ValueError: a mistake in the config of any run, before the first is begun;
      or runs that failed, named at the end.
  """
  todo, chosen = plan(e, workdir, seconds, only)
  sweep_grid.record(workdir, e)
  _predict(workdir, e, seconds)
  worker = Worker(
    workdir, {n: todo[n] for n in chosen}, _execute, seconds, not make_report
  )
  worker.work()
  rows = finish(workdir, todo, worker.failed, seconds, only, make_report)
  if make_report:
    _name_broken(e)
  return rows


def _execute(e: config.Experiment, folder: str, lease: leases.Lease) -> None:
  check_text = functools.partial(sweep_grid.same_text, folder)
  train.train(e, folder, lease, check_text)
  lease.check()
  evaluate.evaluate(folder, lease=lease)
  if e.eval.probe:
    lease.check()
    probe.evaluate(e, folder, lease)


def _predict(workdir: str, e: config.Experiment, seconds: float) -> None:
  """Registers what is predicted, before the first run; one worker at a time."""
  with _turn(workdir, seconds):
    registration.register(workdir, e)


def _name_broken(e: config.Experiment) -> None:
  if broken := left_out.broken(e):
    raise ValueError(
      f'{len(broken)} encodings of `all` were left out: {", ".join(broken)} '
      '(why: see above); the others are done'
    )


def finish(
  workdir: str,
  todo: Runs,
  failed: dict[str, str],
  seconds: float,
  only: tuple[str, ...] = (),
  make_report: bool = True,
) -> list[dict]:
  """The rows of all runs, after a report; raises for those that failed."""
  rows, missing = [], []
  for name, one in todo.items():
    made = sweep_grid.evaluated_rows(os.path.join(workdir, name), one)
    rows += made
    missing += [] if made else [name]
  failed = {name: why for name, why in failed.items() if name in missing}
  if make_report and rows and (not missing or failed or not only):
    with _turn(workdir, seconds):
      report.write(workdir)
  elif missing and make_report:
    log.info('no report yet: %d of %d runs are to do', len(missing), len(todo))
  if failed and not make_report:
    raise SystemExit(exit_codes.USAGE)  # who reports will name them
  if failed:
    lines = ''.join(f'\n  {name}: {why}' for name, why in failed.items())
    raise ValueError(f'{len(failed)} of {len(todo)} runs failed:{lines}')
  return rows


def plan(
  e: config.Experiment, workdir: str, seconds: float, only: tuple[str, ...]
) -> tuple[Runs, list[str]]:
  """All runs by name, and the names of those to do; raises as `sweep`."""
  if not 1 <= seconds < float('inf'):
    raise ValueError(f'lease = {seconds:g} seconds: needs at least 1')
  todo = dict(sweep_grid.experiments(e))
  for name, one in todo.items():  # a mistake in the last is found first
    train.check(one)
    if one.eval.probe:
      probe.check(one)
    sweep_grid.evaluated_rows(os.path.join(workdir, name), one)
  return todo, [_known(name, todo) for name in only] or list(todo)


def _known(name: str, todo: Runs) -> str:
  if name.isdigit() and int(name) < len(todo):
    return list(todo)[int(name)]
  if name not in todo:
    raise ValueError(
      f'no run {name!r} in this sweep; there are: {", ".join(todo)}'
    )
  return name


def _turn(workdir: str, seconds: float) -> leases.Lease:
  """The lease on the sweep's own folder, when its turn comes."""
  while True:
    try:
      return leases.take(workdir, seconds)
    except leases.Held:
      time.sleep(0.2)


def main(argv: list[str]) -> None:
  preemption.exit_on_sigterm()  # but in training, where there is what to save
  words, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__, rpe.names())
  add = parser.add_argument
  add('--config', required=True, metavar='FILE.py[:ARG]')
  add('--workdir', type=paths.path, required=True, metavar='DIR')
  add('--dry_run', action='store_true', help='print the runs')
  add('--run', default='', metavar='NAME,..', help='these only, or by number')
  add('--workers', type=int, default=0, metavar='N',
      help='processes that share the cores; default: as many as cores, memory '
      'and runs allow on a CPU, one on an accelerator')  # fmt: skip
  add('--no_report', action='store_true', help='leave it to another worker')
  add('--lease', type=float, default=leases.SECONDS, metavar='SECONDS',
      help='of silence, after which the run of another machine is taken up '
      '(default %(default)s)')  # fmt: skip
  args = parser.parse_args(words)
  worker_pool.end_with_pool()
  allocator.keep()  # before JAX looks for its devices
  e = config.load(args.config, overrides)
  only = values.items(args.run)
  if args.workers < 0:
    raise ValueError(f'--workers={args.workers}: needs >= 1, or 0 to choose')
  todo, chosen = plan(e, args.workdir, args.lease, only)
  if args.dry_run:
    for name in chosen:
      folder = pathlib.Path(args.workdir) / name
      print(f'{folder}  {sweep_grid.status(str(folder), todo[name])}')
    _name_broken(e)
    return
  left = {
    name: todo[name]
    for name in chosen
    if not sweep_grid.evaluated_rows(
      os.path.join(args.workdir, name), todo[name]
    )
  }
  workers = min(args.workers, len(left)) or worker_pool.size(left.values())
  if workers > 1:
    sweep_grid.record(args.workdir, e)
    _predict(args.workdir, e, args.lease)
    for name in chosen:
      if name not in left:
        log.info('%s: finished, skipped', name)
    failed = worker_pool.run(argv, workers, args.workdir, left)
    finish(args.workdir, todo, failed, args.lease, only, not args.no_report)
    _name_broken(e)
    return
  compilation_cache.enable()
  sweep(e, args.workdir, args.lease, only, not args.no_report)


if __name__ == '__main__':
  cli.run(main)
