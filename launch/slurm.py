r"""Submits one run, or a sweep, to Slurm; a preempted task goes back in line.

  python launch/slurm.py --config=FILE --workdir=DIR            one run
  python launch/slurm.py --config=FILE --workdir=DIR --sweep    a task per run
  python launch/slurm.py --config=FILE --workdir=DIR --workers=4
  ... --nodes=2 --gpus=8 --time=04:00:00 --sbatch=--partition=gpu

With `--workers=N`, N tasks share the runs of a sweep: each takes the next free
run until none is left. With several nodes, one run spans all of them (not with
--workers). `--config.KEY=VALUE` is passed on. DIR must be on a disk that all
nodes share. `--dry_run` prints the shell commands instead of running them.

Slurm's notice (SIGTERM, --notice seconds before the end, or at preemption) goes
to the processes, which save and exit with 75; the script then requeues itself,
and the same command resumes. A lost process (69) is retried --retries times.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the job runs this checkout, installed or not

from extrapolation import cli, config  # noqa: E402
from extrapolation.cli import flags, paths  # noqa: E402
from extrapolation.output import exit_codes  # noqa: E402
from extrapolation.parallel import secret  # noqa: E402
from extrapolation.runs import sweep_grid  # noqa: E402

TERMINATED = 128 + 15  # by SIGTERM, before there was anything to save

SCRIPT = r"""#!/bin/bash
{directives}

# Slurm itself signals the steps. This shell must only outlive the notice: srun
# turns a SIGTERM into a SIGKILL, so it is not forwarded.
trap 'echo "notice: waiting for the processes to save"' TERM

step() {{
  # A process that has saved must not kill those that are still saving.
  srun --kill-on-bad-exit=0 --wait=300 --export=ALL "$@"
  code=$?
  [ $code = 0 ] && return
  again=no
  case $code in
    {retry} | {terminated}) again=yes ;;  # preempted
    {lost}) [ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ] && again=yes ;;
  esac
  if [ $again = yes ]; then
    echo "exit code $code: requeued"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit $code
}}

cd {root} || exit 1
{setup}
{secret}{body}
"""

# In the environment of the steps: not among the arguments, which `ps` shows,
# and not in this script, which others may read.
SECRET = f"""\
{secret.VARIABLE}=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \\n')
export {secret.VARIABLE}
"""


def absolute(workdir: str) -> str:
  """The workdir as every node can name it."""
  return workdir if '://' in workdir else str(pathlib.Path(workdir).resolve())


def script_folder(workdir: str) -> pathlib.Path:
  """Where the script and its logs go.

  Its name begins with a dot, so that a run still takes the workdir for empty.
  """
  parent = pathlib.Path() if '://' in workdir else pathlib.Path(workdir)
  return parent.resolve() / '.slurm'


def directives(args: argparse.Namespace, name: str, tasks: int) -> list[str]:
  """The #SBATCH lines; those of the user come last and take precedence."""
  log = '%x-%A_%a.log' if tasks else '%x-%j.log'
  folder = str(script_folder(args.workdir)).replace('%', '%%')
  lines = [
    f'--job-name={name}',
    f'--nodes={args.nodes}',
    '--ntasks-per-node=1',
    f'--time={args.time}',
    f'--signal=TERM@{args.notice}',
    '--requeue',
    '--open-mode=append',
    f'--output="{folder}/{log}"',
  ]
  if args.gpus:
    lines.append(f'--gpus-per-node={args.gpus}')
  if tasks:
    limit = f'%{args.at_once}' if args.at_once else ''
    lines.append(f'--array=0-{tasks - 1}{limit}')
  return [f'#SBATCH {line}' for line in (*lines, *args.sbatch)]


def body(
  args: argparse.Namespace, e: config.Experiment, overrides: dict[str, str]
) -> tuple[list[str], int]:
  """The commands of the script, and the number of tasks; 0 is no array."""
  workdir = absolute(args.workdir)
  python = [args.python, '-u', '-m']  # unbuffered: the log can be followed
  path, colon, arg = args.config.partition(':')
  config_flag = f'--config={pathlib.Path(path).resolve()}{colon}{arg}'
  multihost = ['--multihost'] if args.nodes > 1 else []

  def override_flags(values: dict[str, str]) -> list[str]:
    return [f'--config.{k}={v}' for k, v in values.items()]

  def one_run(folder: str, values: dict[str, str]) -> list[str]:
    train = [*python, 'extrapolation.train', config_flag]
    train += [f'--workdir={folder}', *override_flags(values), *multihost]
    score = [*python, 'extrapolation.evaluate', f'--workdir={folder}']
    return [step(train), step([*score, *multihost])]

  if not (args.sweep or args.workers):
    return one_run(workdir, overrides), 0
  sweep = [*python, 'extrapolation.sweep', config_flag, f'--workdir={workdir}']
  sweep += [*override_flags(overrides), '--workers=1']
  if args.workers:
    return [step(sweep)], args.workers
  runs = list(sweep_grid.run_overrides(e))
  task = step([*sweep, '--run=']) + '"$SLURM_ARRAY_TASK_ID"'
  if args.nodes == 1:
    return [task], len(runs)
  lines = ['case "$SLURM_ARRAY_TASK_ID" in']
  for i, (name, values) in enumerate(runs):
    steps = one_run(f'{workdir}/{name}', {**overrides, **values})
    lines += [f'  {i})', *(f'    {x}' for x in steps), '    ;;']
  # The sweep then finds its run finished; the last task writes the report.
  on_one_node = task.replace('step ', 'step --nodes=1 --ntasks=1 ', 1)
  return [*lines, 'esac', on_one_node], len(runs)


def step(argv: list[str]) -> str:
  return f'step {shlex.join(argv)}'


def main(argv: list[str]) -> None:
  argv, overrides = cli.split_overrides(argv)
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('--config', required=True, metavar='FILE.py[:ARG]')
  add('--workdir', type=paths.path, required=True, metavar='DIR')
  add('--sweep', action='store_true', help='an array, one task per run')
  add('--workers', type=int, default=0, metavar='N', help='an array of N')
  add('--at_once', type=int, default=0, metavar='N', help='tasks of --sweep')
  add('--nodes', type=int, default=1)
  add('--gpus', default='', metavar='N', help='per node: 8, or a100:8')
  add('--time', default='24:00:00')
  add('--notice', type=int, default=120, metavar='SECONDS')
  add('--retries', type=int, default=5, metavar='N', help='of a lost process')
  add('--sbatch', action='append', default=[], metavar='FLAG', help='any other')
  add('--setup', default='', metavar='LINE', help="such as 'module load cuda'")
  add('--python', default=sys.executable, metavar='PATH', help='on the nodes')
  add('--dry_run', action='store_true')
  args = parser.parse_args(argv)
  check(args)
  e = config.load(args.config, overrides)
  if args.sweep or args.workers:
    list(sweep_grid.experiments(e))  # a mistake in any of them is an error now
  folder = script_folder(args.workdir)
  last = absolute(args.workdir).rstrip('/').rpartition('/')[2]
  name = re.sub(r'[^\w.=-]+', '-', last) or 'run'
  lines, tasks = body(args, e, overrides)
  text = SCRIPT.format(
    directives='\n'.join(directives(args, name, tasks)),
    retry=exit_codes.RETRY,
    lost=exit_codes.LOST,
    terminated=TERMINATED,
    retries=args.retries,
    root=shlex.quote(str(ROOT)),
    setup=args.setup,
    secret=SECRET if args.nodes > 1 else '',
    body='\n'.join(lines),
  )
  path = folder / f'{name}.sbatch'
  command = ['sbatch', str(path)]
  if args.dry_run:
    print(f'mkdir -p {shlex.quote(str(folder))}')
    end = 'END_OF_SCRIPT'
    while end in text:
      end += '_'
    print(f"cat > {shlex.quote(str(path))} <<'{end}'")
    print(f'{text}{end}\n{shlex.join(command)}')
    return
  if not shutil.which('sbatch'):
    raise ValueError(
      'no sbatch on this machine; run it where jobs are submitted, or give '
      '--dry_run'
    )
  folder.mkdir(parents=True, exist_ok=True)
  path.write_bytes(os.fsencode(text))
  print(f'$ {shlex.join(command)}', flush=True)
  code = subprocess.run(command, check=False).returncode
  if code:
    raise ValueError(f'sbatch refused {path}: exit code {code}, see above')


def check(args: argparse.Namespace) -> None:
  """Raises ValueError for flags that do not go together."""
  for flag in ('nodes', 'notice'):
    if getattr(args, flag) < 1:
      raise ValueError(f'--{flag}={getattr(args, flag)}: needs at least 1')
  for flag in ('workers', 'at_once', 'retries'):
    if getattr(args, flag) < 0:
      raise ValueError(f'--{flag}={getattr(args, flag)}: needs at least 0')
  if args.sweep and args.workers:
    raise ValueError(
      '--sweep or --workers=N: one task per run, or N tasks that share them'
    )
  if args.workers and args.nodes > 1:
    raise ValueError(
      f'--workers={args.workers} with --nodes={args.nodes}: a worker is one '
      'process; give --sweep for runs over several nodes'
    )
  if args.at_once and not args.sweep:
    raise ValueError(
      f'--at_once={args.at_once} needs --sweep; --workers=N runs N at once'
    )
  if '://' in args.workdir and (args.sweep or args.workers):
    raise ValueError(
      f'--workdir={args.workdir}: the workers of a sweep share a folder on a '
      'disk; give a path'
    )
  # Lines of #SBATCH are read by Slurm and know no quoting of the shell's.
  for flag, allowed in (
    ('gpus', '[A-Za-z0-9_.:-]*'),
    ('time', '[A-Za-z0-9:-]+'),
  ):
    if not re.fullmatch(allowed, value := getattr(args, flag)):
      raise ValueError(f'--{flag}={value!r}: can be made of {allowed}')
  folder = str(script_folder(args.workdir))
  if not folder.isprintable() or set(folder) & {'"', '\\'}:
    raise ValueError(
      f'--workdir={args.workdir!r}: the path of a log of Slurm cannot have '
      'quotes, backslashes, newlines or the like; give another'
    )
  if args.python.startswith('-'):  # srun would take it for a flag of its own
    raise ValueError(f'--python={args.python!r}: needs the path of a program')
  for flag in args.sbatch:
    if not flag.startswith('-') or not flag.isprintable():
      raise ValueError(
        f'--sbatch={flag!r}: needs a flag of sbatch, such as '
        '--sbatch=--partition=gpu'
      )


if __name__ == '__main__':
  cli.run(main)
