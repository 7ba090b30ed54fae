"""The launchers make a secret for each job, where nobody else sees it."""

import os
import pathlib
import re
import stat
import subprocess
import sys

from launch import slurm, tpu_pod

ROOT = pathlib.Path(__file__).parents[2]
DEMO = ROOT / 'configs' / 'demo.py'
SECRET = re.compile('[0-9a-f]{64}')

CHILD = """
import os, pathlib, sys
me, log = sys.argv[-1].split('=')[1], pathlib.Path(sys.argv[1])
secret = os.environ['EXTRAPOLATION_SECRET']
assert not any(secret in word for word in sys.argv)
with open(log, 'a') as f:
  f.write(secret + '\\n')
sys.exit(75 if len(log.read_text().splitlines()) < 3 else 0)
"""


def test_processes_here_share_a_secret_that_is_new_in_every_attempt(tmp_path):
  (tmp_path / 'child.py').write_text(CHILD)
  log = tmp_path / 'log'
  done = subprocess.run(
    [sys.executable, 'launch/local.py', '--processes=2', '--retries=3', '--',
     sys.executable, f'{tmp_path}/child.py', str(log)],
    capture_output=True, text=True, cwd=ROOT, timeout=60,
  )  # fmt: skip
  assert done.returncode == 0, done.stdout
  secrets = log.read_text().split()
  assert all(SECRET.fullmatch(s) for s in secrets) and len(secrets) == 4
  assert len(set(secrets)) == 2  # of two attempts, each of two processes
  assert not any(s in done.stdout + done.stderr for s in secrets)


SRUN = """#!/bin/bash
printf '%s ' "$@" >> {log}.words
printenv EXTRAPOLATION_SECRET >> {log}
"""


def test_a_job_of_slurm_makes_its_own(tmp_path, capsys, monkeypatch):
  monkeypatch.delenv('EXTRAPOLATION_SECRET', raising=False)
  (tmp_path / 'bin').mkdir()
  path, log = tmp_path / 'bin' / 'srun', tmp_path / 'log'
  path.write_text(SRUN.format(log=log))
  path.chmod(0o755)
  argv = [f'--config={DEMO}', f'--workdir={tmp_path}/a', '--dry_run']
  slurm.main([*argv, '--nodes=2'])
  text = capsys.readouterr().out
  script = text.split("<<'END_OF_SCRIPT'\n")[1].split('END_OF_SCRIPT\n')[0]
  env = os.environ | dict(
    PATH=f'{tmp_path}/bin:{os.environ["PATH"]}', SLURM_JOB_ID='7'
  )
  for _ in range(2):
    subprocess.run(['bash', '-c', script], env=env, check=True)
  secrets = log.read_text().split()
  assert all(SECRET.fullmatch(s) for s in secrets) and len(secrets) == 4
  assert len(set(secrets)) == 2
  words = (tmp_path / 'log.words').read_text()
  assert not any(s in script + words for s in secrets)
  assert '--export=ALL' in words  # also where the cluster's default is NONE
  slurm.main(argv)
  assert 'SECRET' not in capsys.readouterr().out  # one process needs none


GCLOUD = """#!/bin/bash
printf '%s\\n' "$@" >> {log}
"""


def test_the_hosts_of_a_tpu_get_it_as_a_file(tmp_path, capfd, monkeypatch):
  (tmp_path / 'bin').mkdir()
  path, log = tmp_path / 'bin' / 'gcloud', tmp_path / 'log'
  path.write_text(GCLOUD.format(log=log))
  path.chmod(0o755)
  monkeypatch.setenv('PATH', f'{path.parent}:{os.environ["PATH"]}')
  monkeypatch.setenv('HOME', str(tmp_path))
  old = os.umask(0)
  try:
    tpu_pod.main(['copy', '--name=pod', '--zone=us-a'])
  finally:
    os.umask(old)
  (own,) = tmp_path.rglob('extrapolation.secret')
  text = own.read_text()
  assert SECRET.fullmatch(text)
  assert stat.S_IMODE(own.stat().st_mode) == 0o600
  assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700
  words = log.read_text()
  assert str(own) in words.splitlines() and 'chmod 600' in words
  assert text not in words + ''.join(capfd.readouterr())
