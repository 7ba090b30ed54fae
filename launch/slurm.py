r"""Submits one run, or a sweep, to Slurm; a preempted task goes back in line.

  python launch/slurm.py --config=FILE --workdir=DIR            one run
  python launch/slurm.py --config=FILE --workdir=DIR --sweep    a task a run
  python launch/slurm.py --config=FILE --workdir=DIR --workers=4
  ... --nodes=2 --gpus=8 --time=04:00:00 --sbatch=--partition=gpu

`--workers` are tasks that take the runs of a sweep by turns, as many as there
are. More nodes than one are one run, over all of them (not with --workers).
`--config.KEY=VALUE` and what else the commands take pass through. DIR must be
on a disk that all nodes share. `--dry_run` prints what would be done, to paste.

Slurm's notice (SIGTERM, --notice seconds before the end, or preemption) goes to
the processes, which save and exit with 75; the script then asks to be queued
again, and the same command resumes. A dead peer (69) may be tried 5 times.
"""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from extrapolation import cli, config, flags, grid, train  # noqa: E402

SCRIPT = r"""#!/bin/bash
{directives}

# Steps are told of the end by Slurm itself. This shell must only outlive the
# notice: srun makes SIGKILL of a SIGTERM, so it is not forwarded.
trap 'echo "notice: waiting for the processes to save"' TERM

step() {{
  # A process that has saved must not take those along that are saving.
  srun --kill-on-bad-exit=0 --wait=300 "$@"
  code=$?
  [ $code = 0 ] && return
  again=no
  case $code in
    75 | 143) again=yes ;;  # preempted, before there was anything to save (143)
    69) [ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ] && again=yes ;;
  esac
  if [ $again = yes ]; then
    echo "exit code $code: back in line"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit $code
}}

cd {root} || exit 1
{setup}
{body}
"""


def place(workdir: str) -> tuple[str, pathlib.Path]:
  """The workdir for any node, and where the script and its logs go.

  A folder with a dot: a run takes the workdir for empty all the same.
  """
  if '://' in workdir:
    return workdir, pathlib.Path('.slurm').resolve()
  path = pathlib.Path(workdir).resolve()
  return str(path), path / '.slurm'


def directives(args, name: str, tasks: int) -> list[str]:
  """The #SBATCH lines; those of the user come last, and win."""
  log = '%x-%A_%a.log' if tasks else '%x-%j.log'
  folder = str(place(args.workdir)[1]).replace('%', '%%')
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


def body(args, c, overrides: dict[str, str]) -> tuple[list[str], int]:
  """The commands of the script, and the number of tasks; 0 is no array."""
  workdir, _ = place(args.workdir)
  python = [args.python, '-u', '-m']  # unbuffered: a log to look into
  path, colon, arg = args.config.partition(':')
  about = [f'--config={pathlib.Path(path).resolve()}{colon}{arg}']
  several = ['--multihost'] if args.nodes > 1 else []

  def train_run(folder: str, changes: dict[str, str]) -> list[str]:
    flags = [f'--config.{k}={v}' for k, v in {**overrides, **changes}.items()]
    run = [*python, 'extrapolation.train', *about, f'--workdir={folder}']
    score = [*python, 'extrapolation.evaluate', f'--workdir={folder}']
    return [
      step([*run, *flags, *several]),
      step([*score, *several]),
    ]

  if not (args.sweep or args.workers):
    return train_run(workdir, {}), 0
  flags = [f'--config.{k}={v}' for k, v in overrides.items()]
  sweep = [*python, 'extrapolation.sweep', *about, f'--workdir={workdir}']
  sweep += flags
  if args.workers:
    return [step(sweep)], args.workers
  runs = list(grid.changes(c))
  one = step([*sweep, '--run=']) + '"$SLURM_ARRAY_TASK_ID"'
  if args.nodes == 1:
    return [one], len(runs)
  lines = ['case "$SLURM_ARRAY_TASK_ID" in']
  for i, (name, changes) in enumerate(runs):
    lines.append(f'  {i})')
    lines += [f'    {x}' for x in train_run(f'{workdir}/{name}', changes)]
    lines.append('    ;;')
  # Finds its run finished; the last of all tasks writes the report.
  alone = one.replace('step ', 'step --nodes=1 --ntasks=1 ', 1)
  return [*lines, 'esac', alone], len(runs)


def step(argv: list[str]) -> str:
  return f'step {shlex.join(argv)}'


def main(argv: list[str]) -> None:
  argv, overrides = cli.split_overrides(argv)
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('--config', required=True, metavar='FILE.py[:ARG]')
  add('--workdir', required=True, metavar='DIR')
  add('--sweep', action='store_true', help='an array, one task a run')
  add('--workers', type=int, default=0, metavar='N', help='an array of N')
  add('--at_once', type=int, default=0, metavar='N', help='tasks of --sweep')
  add('--nodes', type=int, default=1)
  add('--gpus', default='', metavar='N', help='a node, such as 8 or a100:8')
  add('--time', default='24:00:00')
  add('--notice', type=int, default=120, metavar='SECONDS')
  add('--retries', type=int, default=5, metavar='N', help='of a dead peer')
  add('--sbatch', action='append', default=[], metavar='FLAG', help='any other')
  add('--setup', default='', metavar='LINE', help="such as 'module load cuda'")
  add('--python', default=sys.executable, metavar='PATH', help='on the nodes')
  add('--dry_run', action='store_true')
  args = parser.parse_args(argv)
  check(args)
  c = config.load(args.config, overrides)
  train.check(c)
  if args.sweep or args.workers:
    for _, one in grid.runs(c):
      train.check(one)
  workdir, folder = place(args.workdir)
  name = re.sub(r'[^\w.=-]+', '-', workdir.rstrip('/').rpartition('/')[2])
  lines, tasks = body(args, c, overrides)
  text = SCRIPT.format(
    directives='\n'.join(directives(args, name, tasks)),
    retries=args.retries,
    root=shlex.quote(str(ROOT)),
    setup=args.setup,
    body='\n'.join(lines),
  )
  path = folder / f'{name}.sbatch'
  command = ['sbatch', str(path)]
  if args.dry_run:
    print(f'mkdir -p {shlex.quote(str(folder))}')
    print(f"cat > {shlex.quote(str(path))} <<'END_OF_SCRIPT'")
    print(f'{text}END_OF_SCRIPT\n{shlex.join(command)}')
    return
  if not shutil.which('sbatch'):
    raise ValueError(
      'no sbatch on this machine; run it where jobs are submitted, or give '
      '--dry_run'
    )
  folder.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  print(f'$ {shlex.join(command)}', flush=True)
  code = subprocess.run(command, check=False).returncode
  if code:
    raise ValueError(f'sbatch refused {path}: exit code {code}, see above')


def check(args) -> None:
  """Raises ValueError for flags that do not go together."""
  for flag in ('nodes', 'notice'):
    if getattr(args, flag) < 1:
      raise ValueError(f'--{flag}={getattr(args, flag)}: needs at least 1')
  for flag in ('workers', 'at_once', 'retries'):
    if getattr(args, flag) < 0:
      raise ValueError(f'--{flag}={getattr(args, flag)}: needs at least 0')
  if args.sweep and args.workers:
    raise ValueError('--sweep or --workers=N: a task a run, or N that share')
  if args.workers and args.nodes > 1:
    raise ValueError(
      f'--workers={args.workers} with --nodes={args.nodes}: a worker is one '
      'process; give --sweep for runs over several nodes'
    )
  if args.at_once and not args.sweep:
    raise ValueError('--at_once is of --sweep; --workers are all at once')
  if '://' in args.workdir and (args.sweep or args.workers):
    raise ValueError(
      f'--workdir={args.workdir}: workers of a sweep share a folder of a disk'
    )
  for flag in args.sbatch:
    if not flag.startswith('-') or '\n' in flag:
      raise ValueError(
        f'--sbatch={flag!r}: needs a flag of sbatch, such as '
        '--sbatch=--partition=gpu'
      )


if __name__ == '__main__':
  cli.run(main)
