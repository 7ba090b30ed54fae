"""What launch/ writes for a shell: every argument arrives unchanged."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from launch import local, slurm, tpu_pod

ROOT = pathlib.Path(__file__).parents[2]
DEMO = ROOT / 'configs' / 'demo.py'
NASTY = [
  'a b',
  "it's",
  '"quoted"',
  '$(touch MARKER)',
  '`touch MARKER`',
  '; touch MARKER',
  '&& touch MARKER #',
  "'; touch MARKER; '",
  '"; touch MARKER; "',
  'a\ntouch MARKER\n',
  'END_OF_SCRIPT',
  'x\nEND_OF_SCRIPT\ntouch MARKER',
  '\t * ? ~ {a,b} [c] ! | & < > \\',
  '-n',
  '--help',
  '%j %x',
  'é 日本語 \u202e',
  '',
]
RECORD = '#!/bin/bash\nprintf "%s\\0" "$@" "|" >> "{log}"\n'


class Recorder:
  """Programs on the PATH that write down their arguments."""

  def __init__(self, folder: pathlib.Path, *names: str):
    self.folder, self.log = folder, folder / 'log'
    self.marker = folder / 'MARKER'
    (folder / 'bin').mkdir()
    for name in names:
      self.add(folder / 'bin' / name)

  def add(self, path: pathlib.Path) -> None:
    path.write_text(RECORD.format(log=self.log))
    path.chmod(0o755)

  def calls(self) -> list[list[str]]:
    text = self.log.read_bytes().decode() if self.log.exists() else ''
    calls = text.split('\0|\0')[:-1]
    return [call.split('\0') for call in calls]

  def nasty(self, text: str) -> str:
    return text.replace('MARKER', str(self.marker))

  def run(self, script: str, **env: str) -> None:
    path = f'{self.folder}/bin:{os.environ["PATH"]}'
    subprocess.run(
      ['bash', '-c', script],
      env=os.environ | {'PATH': path, **env},
      cwd=self.folder,
      timeout=30,
      check=True,
    )
    assert not self.marker.exists()


@pytest.fixture
def recorder(tmp_path):
  return Recorder(tmp_path, 'srun', 'sbatch', 'gcloud', 'recorder')


def submitted(recorder, capsys, *argv: str) -> str:
  """The script that the printed commands write, which are run here."""
  slurm.main([*argv, '--dry_run'])
  recorder.run(capsys.readouterr().out)
  (call,) = recorder.calls()
  recorder.log.unlink()
  return pathlib.Path(call[0]).read_text()


@pytest.mark.parametrize('text', NASTY)
def test_slurm_passes_on_what_it_is_given(recorder, capsys, text):
  text = recorder.nasty(text)
  python = f'/python/{text}'
  script = submitted(
    recorder, capsys, f'--config={DEMO}', f'--workdir={recorder.folder}/a',
    f'--config.data.manual_dir={text}', f'--python={python}',
  )  # fmt: skip
  recorder.run(script, SLURM_JOB_ID='7')
  train, evaluate = recorder.calls()
  assert train[-6:] == [
    python, '-u', '-m', 'extrapolation.train', f'--config={DEMO}',
    f'--workdir={recorder.folder}/a', f'--config.data.manual_dir={text}',
  ][-6:]  # fmt: skip
  assert python in train and python in evaluate


@pytest.mark.parametrize('text', NASTY)
def test_slurm_takes_a_workdir_of_any_name_or_refuses_it(
  recorder, capsys, text
):
  text = recorder.nasty(text).replace('/', '_')
  for part in (text, f'{text}/b'):
    workdir = f'{recorder.folder}/runs/{part}'
    argv = [f'--config={DEMO}', f'--workdir={workdir}']
    try:
      script = submitted(recorder, capsys, *argv)
    except ValueError as e:
      assert 'the path of a log of Slurm' in str(e) and '\n' not in str(e)
      assert set(part) & set('"\\\n\t\u202e')
      continue
    lines = [x for x in script.splitlines() if x.startswith('#SBATCH')]
    assert all(line.startswith('#SBATCH --') for line in lines)
    recorder.run(script, SLURM_JOB_ID='7')
    want = f'--workdir={pathlib.Path(workdir).resolve()}'
    assert [call[-1] for call in recorder.calls()] == [want, want]
    recorder.log.unlink()


@pytest.mark.parametrize('text', [t for t in NASTY if '\n' not in t])
def test_slurm_takes_a_config_of_any_name(recorder, capsys, text):
  folder = recorder.folder / f'c{recorder.nasty(text).replace("/", "_")}'
  folder.mkdir()
  shutil.copy(DEMO, folder / 'demo.py')
  script = submitted(
    recorder, capsys, f'--config={folder}/demo.py',
    f'--workdir={recorder.folder}/a',
  )  # fmt: skip
  recorder.run(script, SLURM_JOB_ID='7')
  assert f'--config={folder}/demo.py' in recorder.calls()[0]


@pytest.mark.parametrize(
  'flag',
  [
    '--time=1\ntouch MARKER',
    '--time=$(touch MARKER)',
    '--time=1 --wrap=x',
    '--gpus=8\n#SBATCH --uid=0',
    '--gpus=8 --uid=0',
    '--sbatch=--comment=a\ntouch MARKER',
    '--sbatch=--comment=a\rtouch MARKER',
    '--python=--multi-prog',
    '--python=-x',
    '--nodes=0',
  ],
)
def test_slurm_refuses_what_it_cannot_quote(tmp_path, flag):
  with pytest.raises((ValueError, SystemExit)) as e:
    slurm.main([f'--config={DEMO}', f'--workdir={tmp_path}/a', flag])
  assert '\n' not in str(e.value)
  assert not (tmp_path / '.slurm').exists() and not any(tmp_path.iterdir())


@pytest.mark.parametrize('text', NASTY)
def test_a_tpu_passes_on_what_it_is_given(recorder, capsys, monkeypatch, text):
  monkeypatch.setenv('HOME', str(recorder.folder))
  text = recorder.nasty(text)
  if text == '--':
    return
  flags = ['--name=pod', '--zone=us-a', '--dry_run']
  tpu_pod.main(
    ['run', *flags, '--', 'extrapolation.train', f'--x={text}', text]
  )
  recorder.run(capsys.readouterr().out)
  (call,) = recorder.calls()
  recorder.log.unlink()
  remote = call[-1].removeprefix('--command=')
  for folder in ('code', 'env/bin'):
    (recorder.folder / folder).mkdir(parents=True)
  (recorder.folder / 'extrapolation.secret').write_text('0' * 64)
  recorder.add(recorder.folder / 'env' / 'bin' / 'python')
  recorder.run(remote)
  assert recorder.calls() == [
    ['-u', '-m', 'extrapolation.train', f'--x={text}', text, '--multihost']
  ]


@pytest.mark.parametrize('flag', ['name', 'zone', 'project', 'type', 'version',
                                  'python'])  # fmt: skip
@pytest.mark.parametrize('text', [t for t in NASTY if t and t[-6:] != 'SCRIPT'])
def test_a_tpu_of_no_sensible_name_is_refused(flag, text):
  flags = dict(name='pod', zone='us-a', type='v5') | {flag: text}
  argv = [f'--{k}={v}' for k, v in flags.items()]
  with pytest.raises(ValueError, match=f'--{flag}=') as e:
    tpu_pod.main(['create', '--dry_run', *argv])
  assert '\n' not in str(e.value)


@pytest.mark.parametrize('text', NASTY)
def test_processes_here_get_what_they_are_given(recorder, capsys, text):
  text = recorder.nasty(text)
  local.main(['--processes=1', '--dry_run', '--', 'recorder', 'a', text])
  recorder.run(capsys.readouterr().out)
  (call,) = recorder.calls()
  assert call[:2] == ['a', text] and len(call) == 5


@pytest.mark.parametrize('flag', ['processes', 'devices'])
@pytest.mark.parametrize('value', ['1000000000', '9' * 400, '-1', '0'])
def test_absurd_numbers_of_processes_are_refused(flag, value, capsys):
  argv = [
    '--processes=1',
    f'--{flag}={value}',
    '--dry_run',
    '--',
    sys.executable,
  ]
  with pytest.raises(SystemExit) as e:
    local.main(argv)
  assert e.value.code == 2
  assert f'--{flag}' in capsys.readouterr().err
