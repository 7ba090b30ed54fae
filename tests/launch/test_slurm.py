"""The Slurm script: what it says, and what it does with stand-ins for Slurm."""

import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys
import textwrap

import pytest

from extrapolation import config
from extrapolation.runs import sweep_grid
from launch import slurm

ROOT = pathlib.Path(__file__).parents[2]
DEMO = f'--config={ROOT}/configs/demo.py'

# Each notes how it was called; what they do besides is in files beside them.
STANDINS = {
  'sbatch': 'echo "Submitted batch job 7"; exit "$(cat sbatch.code)"',
  'scontrol': 'true',
  'srun': """
    n=$(cat srun.count 2>/dev/null || echo 0); echo $((n + 1)) > srun.count
    code=$(sed -n "$((n + 1))p" srun.codes); exit "${code:-0}" """,
}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
  """Commands of Slurm that note their arguments in `calls`."""
  folder = tmp_path / 'bin'
  folder.mkdir()
  for name, does in STANDINS.items():
    path = folder / name
    path.write_text(
      f'#!/bin/bash\ncd {folder}\n'
      f'printf "%s\\x1f" {name} "$@" >> calls; echo >> calls\n{does}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
  (folder / 'sbatch.code').write_text('0')
  (folder / 'srun.codes').write_text('')
  monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
  return folder


def calls(cluster) -> list[list[str]]:
  path = cluster / 'calls'
  text = path.read_text() if path.exists() else ''
  return [line.split('\x1f')[:-1] for line in text.splitlines()]


def printed(capsys, *argv: str) -> str:
  slurm.main([*argv, '--dry_run'])
  return capsys.readouterr().out


def script(text: str) -> str:
  return text.split("<<'END_OF_SCRIPT'\n")[1].split('END_OF_SCRIPT\n')[0]


def run(text: str, tmp_path, **env) -> int:
  path = tmp_path / 'script'
  path.write_text(text)
  env = {'SLURM_JOB_ID': '7', 'SLURM_ARRAY_TASK_ID': '0', **env}
  done = subprocess.run(['bash', str(path)], env=os.environ | env, timeout=60)
  return done.returncode


def commands(cluster) -> list[list[str]]:
  """What srun was asked to run, without its own flags."""
  return [
    [
      a
      for a in call[1:]
      if not re.match('--(kill|wait|export|nodes|ntasks)', a)
    ]
    for call in calls(cluster)
    if call[0] == 'srun'
  ]


def test_one_run_is_trained_and_then_evaluated(cluster, tmp_path, capsys):
  folder = tmp_path / 'my runs' / 'a'
  text = script(printed(capsys, DEMO, f'--workdir={folder}',
                        '--config.optim.lr=1e-3'))  # fmt: skip
  assert '#SBATCH --signal=TERM@120\n' in text and '--array' not in text
  assert '#SBATCH --requeue\n' in text and '--open-mode=append' in text
  assert f'#SBATCH --output="{folder}/.slurm/%x-%j.log"\n' in text
  assert run(text, tmp_path) == 0
  python = [sys.executable, '-u', '-m']
  assert commands(cluster) == [
    [*python, 'extrapolation.train', DEMO, f'--workdir={folder}',
     '--config.optim.lr=1e-3'],
    [*python, 'extrapolation.evaluate', f'--workdir={folder}'],
  ]  # fmt: skip


@pytest.mark.parametrize(
  'codes, restarts, queued, code',
  [
    ('75', 0, True, 75),  # preempted in training
    ('0\n75', 99, True, 75),  # in evaluation, for the hundredth time
    ('143', 0, True, 143),  # before it could save anything
    ('69', 4, True, 69),
    ('69', 5, False, 69),  # a peer that always dies
    ('2', 0, False, 2),  # a mistake
    ('1', 0, False, 1),
    ('137', 0, False, 137),
  ],
)
def test_what_was_preempted_is_queued_again(
  cluster, tmp_path, capsys, codes, restarts, queued, code
):
  (cluster / 'srun.codes').write_text(codes + '\n')
  text = script(printed(capsys, DEMO, f'--workdir={tmp_path}/a'))
  assert run(text, tmp_path, SLURM_RESTART_COUNT=str(restarts)) == code
  requeued = [c for c in calls(cluster) if c[0] == 'scontrol']
  assert requeued == ([['scontrol', 'requeue', '7']] if queued else [])
  assert len(commands(cluster)) == len(codes.split())  # none after a failure


def test_the_shell_outlives_the_notice(cluster, tmp_path, capsys):
  """Slurm may signal the script too; it must wait for the save, and queue."""
  path = cluster / 'srun'
  path.write_text('#!/bin/bash\ntouch started; sleep 0.5; exit 75\n')
  text = script(printed(capsys, DEMO, f'--workdir={tmp_path}/a'))
  text = text.replace(f'cd {ROOT}', f'cd {tmp_path}')
  (tmp_path / 'script').write_text(text)
  child = subprocess.Popen(
    ['bash', str(tmp_path / 'script')],
    env=os.environ | {'SLURM_JOB_ID': '7'},
  )
  while not (tmp_path / 'started').exists():
    assert child.poll() is None
  child.terminate()
  assert child.wait(20) == 75
  assert calls(cluster) == [['scontrol', 'requeue', '7']]


def overrides(command: list[str]) -> dict[str, str]:
  flags = [a.removeprefix('--config.') for a in command
           if a.startswith('--config.')]  # fmt: skip
  return dict(flag.split('=', 1) for flag in flags)


def test_every_task_of_an_array_is_a_run_of_the_sweep(
  cluster, tmp_path, capsys
):
  given = {'sweep.rpe': 'alibi,power:exponent=0.5', 'optim.lr': '1e-3'}
  flags = [f'--config.{k}={v}' for k, v in given.items()]
  argv = [DEMO, f'--workdir={tmp_path}/s', '--sweep', *flags]
  runs = list(
    sweep_grid.experiments(config.load(f'{ROOT}/configs/demo.py', given))
  )
  assert len(runs) == 4

  text = script(printed(capsys, *argv, '--at_once=2'))
  assert '#SBATCH --array=0-3%2\n' in text
  assert '/%x-%A_%a.log"\n' in text
  run(text, tmp_path, SLURM_ARRAY_TASK_ID='3')
  assert commands(cluster)[-1][2:] == [
    '-m', 'extrapolation.sweep', DEMO, f'--workdir={tmp_path}/s', *flags,
    '--workers=1', '--run=3',
  ]  # fmt: skip

  text = script(printed(capsys, *argv, '--nodes=2'))
  for i, (name, one) in enumerate(runs):  # each over two nodes
    (cluster / 'calls').unlink()
    run(text, tmp_path, SLURM_ARRAY_TASK_ID=str(i))
    trained, scored, reported = commands(cluster)
    assert (
      f'--workdir={tmp_path}/s/{name}' in trained and '--multihost' in trained
    )
    assert scored[3:] == [
      'extrapolation.evaluate', f'--workdir={tmp_path}/s/{name}', '--multihost'
    ]  # fmt: skip
    loaded = config.load(f'{ROOT}/configs/demo.py', overrides(trained))
    assert loaded.to_dict() == one.to_dict()  # or the sweep would refuse it
    assert reported[-1] == f'--run={i}'
    assert '--ntasks=1' in calls(cluster)[-1]


def test_workers_all_run_the_plain_sweep(cluster, tmp_path, capsys):
  argv = [DEMO, f'--workdir={tmp_path}/s', '--workers=3']
  text = script(printed(capsys, *argv, '--gpus=a100:8', '--time=1:00:00',
                        '--sbatch=--partition=gpu', '--sbatch=--mem=8G',
                        '--setup=module load cuda || true'))  # fmt: skip
  for line in ('--array=0-2', '--gpus-per-node=a100:8', '--time=1:00:00',
               '--partition=gpu', '--mem=8G'):  # fmt: skip
    assert f'#SBATCH {line}\n' in text
  assert '\nmodule load cuda || true\nstep ' in text
  assert run(text, tmp_path) == 0
  assert commands(cluster)[0][3:] == [
    'extrapolation.sweep', DEMO, f'--workdir={tmp_path}/s', '--workers=1'
  ]  # fmt: skip


def test_what_is_printed_is_what_is_done(cluster, tmp_path, capfd):
  """A dry run, pasted into a shell, leaves what the command leaves."""
  argv = [DEMO, f'--workdir={tmp_path}/a b', '--workers=2']
  slurm.main([*argv, '--dry_run'])
  text = capfd.readouterr().out
  assert not (tmp_path / 'a b').exists() and calls(cluster) == []
  subprocess.run(['bash', '-e', '-c', text], check=True)
  pasted = (tmp_path / 'a b/.slurm/a-b.sbatch').read_text()
  slurm.main(argv)
  assert (tmp_path / 'a b/.slurm/a-b.sbatch').read_text() == pasted
  first, second = calls(cluster)
  assert first == second == ['sbatch', f'{tmp_path}/a b/.slurm/a-b.sbatch']
  out = capfd.readouterr().out
  assert f'$ {shlex.join(first)}\n' in out and 'Submitted' in out


@pytest.mark.parametrize(
  'argv, message',
  [
    (['--sweep', '--workers=2'], '--sweep or --workers'),
    (['--workers=2', '--nodes=2'], 'one process'),
    (['--nodes=0'], '--nodes=0: needs at least 1'),
    (['--workers=-1'], '--workers=-1'),
    (['--at_once=2'], '--at_once=2 needs --sweep'),
    (['--sbatch=partition'], "--sbatch='partition': needs a flag"),
    (['--config.train.stepz=3'], 'stepz'),
    (['--sweep', '--config.sweep.rpe=alibi,nope'], "no encoding 'nope'"),
    (['--workdir=gs://b/s', '--sweep'], 'share a folder on a disk'),
  ],
)
def test_a_mistake_is_told_before_anything_is_submitted(
  cluster, tmp_path, argv, message
):
  with pytest.raises(ValueError, match=message):
    slurm.main([DEMO, f'--workdir={tmp_path}/a', *argv])
  assert calls(cluster) == [] and not (tmp_path / 'a').exists()


def test_a_refusal_and_a_missing_sbatch_are_told(
  cluster, tmp_path, monkeypatch
):
  (cluster / 'sbatch.code').write_text('3')
  with pytest.raises(ValueError, match='refused .*: exit code 3'):
    slurm.main([DEMO, f'--workdir={tmp_path}/a'])
  monkeypatch.setenv('PATH', '/nowhere')
  with pytest.raises(ValueError, match='no sbatch on this machine'):
    slurm.main([DEMO, f'--workdir={tmp_path}/b'])
  assert not (tmp_path / 'b').exists()


def test_listing_the_runs_needs_no_model_code(tmp_path):
  """It is done on a login node, and again after every change of a flag."""
  code = f"""
    import sys
    from launch import slurm
    slurm.main(['{DEMO}', '--workdir={tmp_path}/a', '--sweep', '--dry_run'])
    heavy = {{'flax', 'matplotlib', 'optax', 'orbax'}} & set(sys.modules)
    assert not heavy, heavy
  """
  run = [sys.executable, '-c', textwrap.dedent(code)]
  done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert '#SBATCH --array=0-11' in done.stdout


@pytest.mark.parametrize('name', ['benchmark', 'local', 'slurm', 'tpu_pod'])
def test_a_script_runs_from_any_folder(tmp_path, name):
  run = [sys.executable, str(ROOT / 'launch' / f'{name}.py'), '--help']
  done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert f'usage: python launch/{name}.py' in done.stdout
