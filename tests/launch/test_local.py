"""The launcher of several processes on one machine."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LOCAL = [sys.executable, 'launch/local.py']


def test_the_launcher_says_what_it_would_run():
  out = subprocess.run(
    [*LOCAL, '--processes=2', '--devices=3', '--port=99', '--dry_run', '--',
     'python', '-m', 'extrapolation.train', '--workdir=a b'],
    capture_output=True, text=True, cwd=ROOT, check=True,
  ).stdout  # fmt: skip
  assert out.splitlines() == [
    'env JAX_NUM_CPU_DEVICES=3 JAX_PLATFORMS=cpu python -m extrapolation.train '
    f"'--workdir=a b' --coordinator=localhost:99 --num_processes=2 "
    f'--process_id={i}'
    for i in (0, 1)
  ]
  out = subprocess.run(
    [*LOCAL, '--processes=2', '--devices=2', '--gpus', '--dry_run', '--', 'x'],
    capture_output=True, text=True, cwd=ROOT, check=True,
  ).stdout  # fmt: skip
  assert 'CUDA_VISIBLE_DEVICES=0,1 x' in out.splitlines()[0]
  assert 'CUDA_VISIBLE_DEVICES=2,3 x' in out.splitlines()[1]


CHILD = """
import pathlib, sys, time
me = sys.argv[-1].split('=')[1]
marks = pathlib.Path(sys.argv[1])
mine = marks / f'{me}-{len(list(marks.glob(me + "-*")))}'
mine.write_text(' '.join(sys.argv))
code = {codes}[int(me)]
again = not mine.name.endswith('-0')
if code is None and not again:
  time.sleep(100)
print('hello', flush=True)
sys.exit(0 if again else code)
"""


@pytest.mark.parametrize(
  'codes, code, tries',
  [
    ([75, 75], 0, 2),  # preempted
    ([69, 1], 1, 1),  # the error counts, not who lost its peer to it
    ([69, 69], 0, 2),
    ([None, 2], 2, 1),  # one that would not end is ended
    ([0, 0], 0, 1),
  ],
)
def test_the_launcher_tries_again_what_may_succeed(
  tmp_path, codes, code, tries
):
  (tmp_path / 'child.py').write_text(CHILD.replace('{codes}', repr(codes)))
  (tmp_path / 'marks').mkdir()
  done = subprocess.run(
    [*LOCAL, '--processes=2', '--retries=1', '--', sys.executable,
     f'{tmp_path}/child.py', f'{tmp_path}/marks'],
    capture_output=True, text=True, cwd=ROOT,
    timeout=25,  # told before it is killed, at 30 s
  )  # fmt: skip
  assert done.returncode == code, done.stdout
  assert len(list((tmp_path / 'marks').glob('1-*'))) == tries
  assert '[1] hello' in done.stdout
  ports = {p.read_text().split()[2] for p in (tmp_path / 'marks').iterdir()}
  assert len(ports) == tries
