"""Minutes long: preparation killed at random, memory, waiting for data."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from extrapolation import config, train
from extrapolation.data import Dataset

from .conftest import prose
from .test_dataset import contents

pytestmark = pytest.mark.slow

CODE = """
import resource, sys
from extrapolation import cli
from extrapolation.data.__main__ import main

cli.run(main, sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def start(*arguments):
  return subprocess.Popen(
    [sys.executable, '-c', CODE, *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def test_killed_at_ten_random_points(write, tmp_path):
  """From the start of the process to its end, the builder's part included."""
  book = '<|endoftext|>\n'.join(prose(3000, i) for i in range(12))
  root = write({f'{s}.txt': book for s in ('train', 'valid', 'test')})
  arguments = ['--source=tfds:books', f'--manual_dir={root}']
  arguments += ['--tokenizer=bpe', '--vocab=400']
  begin = time.monotonic()
  clean = start(*arguments, f'--cache={tmp_path}/clean')
  assert clean.wait() == 0
  whole = time.monotonic() - begin
  rng, killed = random.Random(0), 0
  for _ in range(40):
    process = start(*arguments, f'--cache={tmp_path}/cache')
    time.sleep(rng.uniform(0.1, 1) * whole)
    process.kill()
    for manifest in (tmp_path / 'cache').glob('[!.]*/manifest.json'):
      json.loads(manifest.read_text())  # whole, where it is there at all
    if process.wait() != -signal.SIGKILL:
      shutil.rmtree(tmp_path / 'cache')  # too late: it had ended
      continue
    killed += 1
    if killed == 10:
      break
  assert killed == 10
  assert start(*arguments, f'--cache={tmp_path}/cache').wait() == 0
  # What array_record writes is not the same bytes twice; what it holds is.
  kept = [
    {
      n: b
      for n, b in contents(tmp_path / c).items()
      if not n.startswith('tfds')
    }
    for c in ('cache', 'clean')
  ]
  assert kept[0] == kept[1] and len(kept[0]) == 8


def peak(tmp_path, tokenizer, megabytes):
  """Most memory, in MB, that preparing a corpus of this size takes."""
  root = tmp_path / f'{megabytes}'
  root.mkdir()
  text = prose(40_000)
  for i in range(megabytes):
    whole = f'{i}\n{text}'
    (root / f'{i}.txt').write_text(whole[:1_000_000])
  process = start(
    f'--source=files:{root}', f'--tokenizer={tokenizer}', '--vocab=500',
    f'--cache={tmp_path}/cache-{megabytes}-{tokenizer}',
  )  # fmt: skip
  out, err = process.communicate()
  assert process.returncode == 0, err
  return int(out.splitlines()[-1]) / 1024


@pytest.mark.parametrize('tokenizer', ['bytes', 'bpe'])
def test_memory_does_not_grow_with_the_corpus(tmp_path, tokenizer):
  first, second = (peak(tmp_path, tokenizer, mb) for mb in (40, 120))
  print(f'{tokenizer}: {first:.0f} MB of memory for 40 MB of text, ', end='')
  print(f'{second:.0f} for 120')
  assert second < first + 30 and second < 1500


def test_training_does_not_wait_for_data(tmp_path, monkeypatch):
  c = config.base()
  c.data.cache = str(tmp_path / 'cache')
  c.model.update(N=3, D=128, H=4, F=512, dropout=0.0)
  c.optim.warmup = 2
  c.train.update(T=512, B=8, steps=20, log_every=20, checkpoint_every=20)
  c.train.valid_every = 0
  waited, begun = [], []

  class Timed:
    def __init__(self, batches):
      self.batches = batches

    def __getitem__(self, k):
      start = time.perf_counter()
      batch = self.batches[k]
      begun.append(start)
      waited.append(time.perf_counter() - start)
      return batch

  real = Dataset.batches
  monkeypatch.setattr(
    Dataset, 'batches', lambda self, **kw: Timed(real(self, **kw))
  )
  train.train(config.override(c, {}), str(tmp_path / 'run'))
  # Without the first steps, which compile.
  share = sum(waited[5:-1]) / (begun[-1] - begun[5])
  print(f'{share:.3%} of a step is spent waiting for its batch')
  assert share < 0.01
