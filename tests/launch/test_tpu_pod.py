"""What is asked of gcloud, and what follows from its answers."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from launch import tpu_pod

ROOT = pathlib.Path(__file__).parents[2]
WORK = '--workdir=gs://b/a run'
TRAIN = ['extrapolation.train', '--config=configs/demo.py', WORK]
FLAGS = ['--name=pod', '--zone=us-a', '--type=v5litepod-16', '--wait=0']

# Notes its arguments; answers come from a file for each verb, line by line:
# an exit code, then what is printed. The default is success, and READY.
GCLOUD = """#!{python}
import pathlib, re, sys
here = pathlib.Path({folder!r})
verb = sys.argv[4]
with open(here / 'calls', 'a') as f:
  f.write('\\x1f'.join(sys.argv[4:]).replace('\\n', ' ') + '\\n')
if verb == 'ssh' and 'exit code' in sys.argv[-1]:
  verb = 'run'
path = here / verb
lines = path.read_text().splitlines() if path.exists() else []
line, rest = (lines[0], lines[1:]) if lines else ('0 ' + dict(
  describe='READY', run='exit code 0').get(verb, ''), [])
if lines:
  path.write_text('\\n'.join(rest) + '\\n' * bool(rest))
code, _, text = line.partition(' ')
print(text.replace('|', '\\n'))
sys.exit(int(code))
"""

# Makes no bundle of this repository, which takes most of a second each time.
GIT = """#!/bin/sh
if [ "$3" = bundle ]; then exec touch "$5"; fi
exec {git} "$@"
"""


@pytest.fixture
def cloud(tmp_path, monkeypatch):
  """A gcloud that answers from files, first on the PATH, with a git."""
  folder = tmp_path / 'bin'
  folder.mkdir()
  gcloud = GCLOUD.format(python=sys.executable, folder=str(folder))
  git = GIT.format(git=shutil.which('git'))
  for name, text in dict(gcloud=gcloud, git=git).items():
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
  monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
  monkeypatch.setenv('HOME', str(tmp_path))
  return folder


def answers(cloud, **verbs: list[str]) -> None:
  for verb, lines in verbs.items():
    (cloud / verb).write_text('\n'.join(lines) + '\n')


def calls(cloud) -> list[list[str]]:
  path = cloud / 'calls'
  text = path.read_text() if path.exists() else ''
  return [line.split('\x1f') for line in text.splitlines()]


def verbs(cloud) -> list[str]:
  """create, copy, setup, run, clear, state, delete: what was asked."""
  found = []
  for call in calls(cloud):
    kind = dict(scp='copy', describe='state').get(call[0], call[0])
    if kind == 'ssh':
      kind = next(
        name
        for name, part in dict(
          setup='pip install', run='exit code', clear='pkill'
        ).items()
        if part in call[-1]
      )
    found.append(kind)
  return found


MADE = ['create', 'copy', 'setup']


def test_an_undisturbed_run_is_made_run_and_deleted(cloud):
  flags = ['--spot', '--project=p', '--create=--internal-ips']
  score = ['extrapolation.evaluate', WORK]
  tpu_pod.main(['all', *FLAGS, *flags, '--', *TRAIN, '--', *score])
  assert verbs(cloud) == [*MADE, 'run', 'delete']
  create, copy, setup, run, delete = calls(cloud)
  where = ['--zone=us-a', '--project=p']
  assert create == [
    'create', 'pod', *where, '--accelerator-type=v5litepod-16',
    '--version=v2-alpha-tpuv5-lite', '--spot', '--internal-ips',
  ]  # fmt: skip
  assert copy[3:] == ['pod:.', *where, '--worker=all']
  for call in (setup, run):
    assert call[:-1] == ['ssh', 'pod', *where, '--worker=all']
  assert delete == ['delete', 'pod', *where, '--quiet']
  remote = run[-1].removeprefix('--command=')
  assert remote.startswith('cd code && export EXTRAPOLATION_SECRET="$(cat ')
  assert '../env/bin/python -u -m extrapolation.t' in remote
  assert "'--workdir=gs://b/a run' --multihost && ../env/" in remote
  assert remote.count('--multihost') == 2


@pytest.mark.parametrize(
  'script, asked',
  [
    # Preempted, with a notice, which the state shows at once.
    (
      dict(run=['1 exit code 75|exit code 75'], describe=['0 PREEMPTED']),
      [*MADE, 'run', 'state', 'delete', *MADE, 'run', 'delete'],
    ),
    # With a notice, and the state is late.
    (
      dict(run=['1 exit code 75', '255 '], describe=['0 READY', '0 PREEMPTED']),
      [*MADE, 'run', 'state', 'clear', 'run', 'state', 'delete', *MADE, 'run',
       'delete'],
    ),
    # Without a word, and gone altogether.
    (
      dict(run=['255 '], describe=['1 ']),
      [*MADE, 'run', 'state', *MADE, 'run', 'delete'],
    ),
    # The connection breaks, but not the TPU.
    (
      dict(run=['255 step 3']),
      [*MADE, 'run', 'state', 'clear', 'run', 'delete'],
    ),
    # One host dies, the others notice.
    (
      dict(run=['1 exit code 69|exit code 69']),
      [*MADE, 'run', 'state', 'clear', 'run', 'delete'],
    ),
    # No capacity at first.
    (
      dict(create=['1 ', '1 ']),
      ['create', 'delete', 'create', 'delete', *MADE, 'run', 'delete'],
    ),
  ],
)  # fmt: skip
def test_it_goes_on_after(cloud, script, asked):
  answers(cloud, **script)
  tpu_pod.main(['all', *FLAGS, '--', *TRAIN])
  assert verbs(cloud) == asked


def test_a_mistake_of_the_command_ends_it_and_the_tpu_stays(cloud):
  answers(cloud, run=['1 error: no encoding|exit code 2|exit code 75'])
  with pytest.raises(
    ValueError, match=r'exit code 2, .*; pod is kept, .*delete'
  ):
    tpu_pod.main(['all', *FLAGS, '--', *TRAIN])
  assert verbs(cloud) == [*MADE, 'run', 'state']


def test_it_gives_up(cloud):
  answers(cloud, run=['255 '] * 9)
  with pytest.raises(ValueError, match='gave up after --tries=3'):
    tpu_pod.main(['all', *FLAGS, '--tries=3', '--', *TRAIN])
  assert verbs(cloud).count('run') == 3 and 'delete' not in verbs(cloud)


def test_a_failed_copy_is_told_with_its_command(cloud):
  answers(cloud, scp=['4 '])
  with pytest.raises(ValueError, match='exit code 4 of: gcloud .* scp '):
    tpu_pod.main(['all', *FLAGS, '--', *TRAIN])


@pytest.mark.parametrize('action', ['create', 'copy', 'delete', 'run'])
def test_each_part_is_a_command_of_its_own(cloud, action):
  tail = ['--', *TRAIN] if action == 'run' else []
  tpu_pod.main([action, *FLAGS, *tail])
  part = dict(copy=['copy', 'setup']).get(action, [action])
  assert verbs(cloud) == part
  answers(cloud, create=['1 '], delete=['1 '], run=['1 exit code 1'],
          scp=['1 '])  # fmt: skip
  with pytest.raises(ValueError):
    tpu_pod.main([action, *FLAGS, *tail])


def test_what_is_printed_is_what_is_done(cloud, capfd):
  argv = ['all', *FLAGS, '--', *TRAIN]
  tpu_pod.main([*argv[:1], '--dry_run', *argv[1:]])
  text = capfd.readouterr().out
  assert calls(cloud) == []
  subprocess.run(['bash', '-e', '-c', text], check=True)
  pasted = calls(cloud)
  (cloud / 'calls').unlink()
  tpu_pod.main(argv)
  assert calls(cloud) == pasted and len(pasted) == 5
  out = capfd.readouterr().out.splitlines()
  assert all(line in out for line in text.splitlines())


def test_the_remote_commands_do_what_they_say(cloud, tmp_path, capfd):
  """Copied, cloned and run here, as a host would; only pip is left out."""
  (cloud / 'git').unlink()
  tpu_pod.main(['copy', *FLAGS, '--python=python3'])
  bundle, setup = calls(cloud)
  host = tmp_path / 'host'
  (host / 'bin').mkdir(parents=True)
  (host / 'extrapolation.bundle').write_bytes(
    pathlib.Path(bundle[1]).read_bytes()
  )
  command = setup[-1].removeprefix('--command=')
  command = re.sub('python3 -m venv.*', 'true', command)
  subprocess.run(['bash', '-c', command], cwd=host, check=True)
  commit = ['git', 'describe', '--always']
  here, there = (
    subprocess.run(commit, cwd=d, capture_output=True, text=True).stdout
    for d in (ROOT, host / 'code')
  )
  assert here == there != ''
  (host / 'env/bin').mkdir(parents=True)
  python = host / 'env/bin/python'
  python.write_text('#!/bin/bash\necho "$PWD: $*"; exit 75\n')
  python.chmod(0o755)
  tpu_pod.main(['run', *FLAGS, '--', *TRAIN])
  remote = calls(cloud)[-1][-1].removeprefix('--command=')
  done = subprocess.run(
    ['bash', '-c', remote], cwd=host, capture_output=True, text=True
  )
  assert done.returncode == 75 and done.stdout.endswith('exit code 75\n')
  assert f'{host}/code: -u -m {" ".join(TRAIN)} --multihost' in done.stdout


@pytest.mark.parametrize(
  'argv, message',
  [
    (['all', '--name=a', '--zone=z', '--', *TRAIN], '--type is missing'),
    (['all', *FLAGS], 'nothing to run'),
    (['run', *FLAGS, '--', 'train'], 'nothing to run'),
    (['run', *FLAGS, '--'], 'nothing to run'),
    (['all', *FLAGS, '--', 'extrapolation.train', '--workdir=/tmp/a'],
     '--workdir=/tmp/a: is lost with the disk'),
    (['delete', *FLAGS, '--', *TRAIN], 'delete runs no module'),
    (['create', *FLAGS, '--create=network'], '--create=network: needs a flag'),
    (['all', *FLAGS, '--tries=0', '--', *TRAIN], '--tries needs'),
    (['all', *FLAGS, '--wait=nan', '--', *TRAIN], '--wait at least 0'),
    (['all', *FLAGS, '--', 'extrapolation.train', '--workdir', '/tmp/a'],
     '--workdir=/tmp/a: is lost with the disk'),
  ],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_is_made(cloud, argv, message):
  with pytest.raises(ValueError, match=message):
    tpu_pod.main(argv)
  assert calls(cloud) == []


@pytest.mark.parametrize(
  'flag',
  [
    '--config.model.rpe={}:width=3', '--config.sweep.rpe=alibi,{}',
    '--rpe={}', '--config={}:64',
  ],
)  # fmt: skip
@pytest.mark.parametrize('action', ['all', 'run'])
def test_a_file_that_is_not_copied_is_told(cloud, tmp_path, flag, action):
  mine = tmp_path / 'mine.py'
  mine.write_text('')
  for path in (mine, 'configs/none.py', ROOT / 'configs/demo.py'):
    given = flag.format(path)
    for words in ([given], given.split('=', 1)):
      with pytest.raises(ValueError) as e:
        tpu_pod.main([action, *FLAGS, '--', *TRAIN, *words])
      said = f'{flag.partition("=")[0]}={path}: the hosts get the last commit'
      assert said in str(e.value)
  assert calls(cloud) == []
  tpu_pod.main([action, *FLAGS, '--', *TRAIN, flag.format('configs/demo.py')])
  assert 'run' in verbs(cloud)


def test_a_missing_gcloud_is_told(monkeypatch):
  monkeypatch.setenv('PATH', '/nowhere')
  with pytest.raises(ValueError, match='no gcloud on this machine'):
    tpu_pod.main(['delete', *FLAGS])
