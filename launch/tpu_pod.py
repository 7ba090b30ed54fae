r"""Runs a command on every host of a Cloud TPU, again when it is preempted.

  python launch/tpu_pod.py all --name=a --zone=us-west4-a --type=v5litepod-16 \
    --spot -- extrapolation.train --config=FILE --workdir=gs://BUCKET/DIR \
    -- extrapolation.evaluate --workdir=gs://BUCKET/DIR

`all` is create, copy, run and, at the end, delete; each is also a command of
its own. What follows a `--` is a module and its flags; `--multihost` is added.
`copy` installs the last commit, without uncommitted changes, and a new secret
that lets the hosts know each other. A config file or an encoding of your own
that a command names must be in that commit.

A preempted TPU is deleted and created again, and the command runs again and
resumes from its checkpoint, so the workdir must outlive the TPU. After exit
code 75 (preempted, saved), 69 (a process was lost) or a lost connection the
command runs again on the same TPU. Any other code ends it, and the TPU is kept
for inspection. `--dry_run` prints the shell commands of an undisturbed run.
"""

import argparse
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # this checkout, whose last commit is copied

from extrapolation import cli  # noqa: E402
from extrapolation.cli import flags  # noqa: E402
from extrapolation.output import exit_codes  # noqa: E402
from extrapolation.parallel import secret  # noqa: E402
from extrapolation.rpe import spec  # noqa: E402

TPU = ['gcloud', 'compute', 'tpus', 'tpu-vm']
TERMINATED = 128 + 15  # by SIGTERM, before there was anything to save
AGAIN = {*exit_codes.AGAIN, TERMINATED}
BUNDLE, SECRET = 'extrapolation.bundle', 'extrapolation.secret'
FOLDER = '~/.cache/extrapolation/tpu'  # the user's own, for what is copied
MAKE = "umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \\n'"
SETUP = (
  'chmod 600 extrapolation.secret; '
  'command -v {python} > /dev/null || (sudo apt-get -q update && '
  'sudo apt-get install -qy {python} {python}-venv); '
  'rm -rf code && git clone -q extrapolation.bundle code && '
  "{python} -m venv env && env/bin/pip install -q './code[tpu]'"
)
# What gcloud and the shell of a host could take for something else.
WORDS = dict(
  name='[a-z0-9][a-z0-9-]*',
  zone='[a-z0-9][a-z0-9-]*',
  project='([a-z0-9][a-z0-9.:-]*)?',
  type='([A-Za-z0-9][A-Za-z0-9._-]*)?',
  version='[A-Za-z0-9][A-Za-z0-9._-]*',
  python='[A-Za-z0-9/][A-Za-z0-9._/+-]*',
)
# Flags that may name files of the user's own.
FILES = ('--config', '--rpe', '--config.model.rpe', '--config.sweep.rpe')
# Processes that a lost connection left behind still hold the TPU; SIGTERM lets
# them save.
CLEAR = (
  "pkill -TERM -f '[e]xtrapolation[.]'; for i in $(seq 60); do "
  "pgrep -f '[e]xtrapolation[.]' > /dev/null || break; sleep 1; done; "
  "pkill -KILL -f '[e]xtrapolation[.]'; true"
)


class Pod:
  """The gcloud commands of one TPU, each printed before it is run."""

  def __init__(self, args: argparse.Namespace):
    self.args = args
    where = [f'--zone={args.zone}']
    self.where = where + [f'--project={args.project}'] * bool(args.project)

  def call(self, argv: list[str]) -> int:
    print(shlex.join(argv), flush=True)
    if self.args.dry_run:
      return 0
    return subprocess.run(argv, check=False).returncode

  def must(self, argv: list[str]) -> None:
    code = self.call(argv)
    if code:
      raise ValueError(f'exit code {code} of: {shlex.join(argv)}')

  def create(self) -> int:
    a = self.args
    argv = [*TPU, 'create', a.name, *self.where]
    argv += [f'--accelerator-type={a.type}', f'--version={a.version}']
    return self.call([*argv, *['--spot'] * a.spot, *a.create])

  def delete(self) -> int:
    return self.call([*TPU, 'delete', self.args.name, *self.where, '--quiet'])

  def ssh(self, command: str) -> list[str]:
    head = [*TPU, 'ssh', self.args.name, *self.where, '--worker=all']
    return [*head, f'--command={command}']

  def copy(self) -> None:
    folder = pathlib.Path(FOLDER).expanduser() / self.args.name
    bundle, own = folder / BUNDLE, folder / SECRET
    self.must(['mkdir', '-p', '-m', '700', str(folder)])
    # Made by the shell, so that what is printed here does not show it.
    self.must(['sh', '-c', f'{MAKE} > "$0"', str(own)])
    git = ['git', '-C', str(ROOT)]
    self.must([*git, 'bundle', 'create', str(bundle), 'HEAD'])
    copied = [str(bundle), str(own), f'{self.args.name}:.']
    self.must([*TPU, 'scp', *copied, *self.where, '--worker=all'])
    self.must(self.ssh(SETUP.format(python=self.args.python)))

  def run(self) -> tuple[int, set[int]]:
    """The exit code of gcloud, and those that the hosts printed."""
    command = ' && '.join(
      shlex.join(['../env/bin/python', '-u', '-m', *words])
      + ' --multihost' * ('--multihost' not in words)
      for words in self.args.commands
    )
    # From a file to the environment: an argument is seen by everybody.
    own = f'export {secret.VARIABLE}="$(cat ../{SECRET})"'
    # gcloud's own code does not tell which hosts ended how.
    argv = self.ssh(
      f'cd code && {own} && {command}; '
      'code=$?; echo "exit code $code"; exit $code'
    )
    print(shlex.join(argv), flush=True)
    if self.args.dry_run:
      return 0, {0}
    codes = set()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
      assert child.stdout
      for line in child.stdout:
        print(line, end='', flush=True)
        if match := re.search(r'\bexit code (\d+)$', line.rstrip()):
          codes.add(int(match[1]))
    return child.returncode, codes

  def state(self) -> str:
    """READY, PREEMPTED, ... or ABSENT."""
    argv = [*TPU, 'describe', self.args.name, *self.where]
    argv += ['--format=value(state)']
    print(shlex.join(argv), flush=True)
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return done.stdout.strip() or 'ABSENT'

  def retry(self, made: bool) -> None:
    """Runs the command until it succeeds, on as many TPUs as that takes.

    Raises:
      ValueError: it failed of its own accord, or --tries were not enough.
    """
    for i in range(self.args.tries):
      if i:
        print(f'# try {i + 1} of {self.args.tries}', flush=True)
        time.sleep(self.args.wait)
      if not made:
        if self.create():  # no capacity, most often
          self.delete()
          continue
        self.copy()
        made = True
      code, codes = self.run()
      if not code:
        return
      state = self.state()
      if state != 'READY':
        print(f'# the TPU is {state}: creating it again', flush=True)
        if state != 'ABSENT':
          self.delete()
        made = False
      elif failed := codes - AGAIN - {exit_codes.OK}:
        worst = ', '.join(map(str, sorted(failed)))
        raise ValueError(
          f'the command failed with exit code {worst}, see above; '
          f'{self.args.name} is kept, delete it with: '
          + shlex.join([*TPU, 'delete', self.args.name, *self.where])
        )
      else:
        self.call(self.ssh(CLEAR))
    raise ValueError(f'gave up after --tries={self.args.tries}')


def main(argv: list[str]) -> None:
  groups: list[list[str]] = [[]]
  for word in argv:
    if word == '--':
      groups.append([])
    else:
      groups[-1].append(word)
  argv, *commands = groups
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('action', choices=('all', 'create', 'copy', 'run', 'delete'))
  add('--name', required=True, help='of the TPU')
  add('--zone', required=True)
  add('--project', default='')
  add('--type', default='', help='such as v5litepod-16')
  add('--version', default='v2-alpha-tpuv5-lite', help='software of the TPU')
  add('--spot', action='store_true', help='cheap, but may be preempted')
  add('--create', action='append', default=[], metavar='FLAG',
      help='of gcloud, such as --create=--network=NAME')  # fmt: skip
  add('--python', default='python3.11', help='on the TPU')
  add('--tries', type=int, default=20)
  add('--wait', type=float, default=60, metavar='SECONDS', help='between tries')
  add('--dry_run', action='store_true')
  args = parser.parse_args(argv)
  args.commands = commands
  check(args)
  pod = Pod(args)
  if args.action in ('all', 'run'):
    pod.retry(made=args.action == 'run')
    if args.action == 'run':
      return
  if args.action == 'copy':
    pod.copy()
  elif args.action == 'create' and pod.create():
    raise ValueError(f'{args.name} could not be created, see above')
  elif args.action in ('all', 'delete') and pod.delete():
    raise ValueError(f'{args.name} could not be deleted, see above')


def check(args: argparse.Namespace) -> None:
  """Raises ValueError for flags that do not go together."""
  if args.action in ('all', 'create') and not args.type:
    raise ValueError('--type is missing: which TPU, such as v5litepod-16')
  if args.tries < 1 or not 0 <= args.wait < float('inf'):
    raise ValueError('--tries needs at least 1, --wait at least 0')
  for flag, allowed in WORDS.items():
    if not re.fullmatch(allowed, value := getattr(args, flag)):
      raise ValueError(f'--{flag}={value!r}: can be made of {allowed}')
  for flag in args.create:
    if not flag.startswith('--'):
      raise ValueError(f'--create={flag}: needs a flag, --create=--NAME=VALUE')
  modules = [words[0] if words else '' for words in args.commands]
  if args.action not in ('all', 'run'):
    if modules:
      raise ValueError(
        f'{args.action} runs no module, but {modules[0]!r} follows the --; '
        'give it to all or run'
      )
  elif not modules or not all(m.startswith('extrapolation.') for m in modules):
    raise ValueError(
      'nothing to run: give a module and its flags after --, such as '
      '-- extrapolation.train --config=FILE --workdir=gs://BUCKET/DIR'
    )
  for words in args.commands:
    pairs = zip(words, [*words[1:], ''], strict=True)
    where = [b for a, b in pairs if a == '--workdir']
    where += [a.partition('=')[2] for a in words if a.startswith('--workdir=')]
    if args.action == 'all' and not (where and '://' in where[0]):
      raise ValueError(
        f'--workdir={"".join(where[:1])}: is lost with the disk of the TPU; '
        'give --workdir=gs://BUCKET/DIR'
      )
    check_files(words)
  if not args.dry_run and not shutil.which('gcloud'):
    raise ValueError('no gcloud on this machine; install it, or --dry_run')


def check_files(words: list[str]) -> None:
  """Raises ValueError for a Python file that will not be on the hosts."""
  for word, following in zip(words, [*words[1:], ''], strict=True):
    flag, equals, value = word.partition('=')
    if flag not in FILES:
      continue
    for item in (value if equals else following).strip('[]()').split(','):
      path = spec.parse(item.strip(' \'"'))[0]
      if spec.is_file(path) and not committed(path):
        raise ValueError(
          f'{flag}={path}: the hosts get the last commit of {ROOT}, and it has '
          'no such file; commit it there, and give its path from there'
        )


def committed(path: str) -> bool:
  """Whether the last commit has a file of this path from its root."""
  argv = ['git', '-C', str(ROOT), 'cat-file', '-e', f'HEAD:{path}']
  return not subprocess.run(argv, check=False, capture_output=True).returncode


if __name__ == '__main__':
  cli.run(main)
