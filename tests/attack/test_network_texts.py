"""Texts that processes give to each other arrive whole, however long."""

import json
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from extrapolation.parallel import multihost, peers
from tests import group

STEPS = json.dumps(list(range(20, 40_000, 20)))  # of 2,000 checkpoints


def gathered(monkeypatch, texts: list[str]) -> tuple[list[list[str]], int]:
  """What each of several processes, here threads, gets; and the rounds."""
  n, rounds = len(texts), []
  barrier, given = threading.Barrier(n), [np.zeros(0, np.uint8)] * n
  me = threading.local()

  def allgather(x):
    given[me.number] = x
    barrier.wait(10)
    every = np.stack(given)  # of one shape, or this raises
    rounds.append(x.size)
    barrier.wait(10)
    return every

  monkeypatch.setattr(multihost_utils, 'process_allgather', allgather)
  monkeypatch.setattr(jax, 'process_count', lambda: n)
  outcomes: list[list[str]] = [[]] * n

  def one(i):
    me.number = i
    outcomes[i] = multihost.gather(texts[i])

  threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
  for t in threads:
    t.start()
  for t in threads:
    t.join()
  return outcomes, len(rounds) // n


@pytest.mark.parametrize(
  'texts, rounds',
  [
    (['', 'a'], 1),
    (['a' * 2000, 'b'], 1),
    (['a' * 2001, ''], 2),
    (['', STEPS], 2),
    ([STEPS, 'é' * 3000, 'short'], 2),
    (['ends in half a character ' + '\udcff' * 1000, '\0' * 2500], 2),
  ],
)
def test_every_process_gets_every_text_whole(monkeypatch, texts, rounds):
  outcomes, took = gathered(monkeypatch, texts)
  assert outcomes == [texts] * len(texts)
  assert took == rounds


CODE = f"""
import argparse, json, sys
from extrapolation.parallel import multihost
me = int(sys.argv[1])
args = argparse.Namespace(multihost=False, coordinator=sys.argv[2],
  num_processes=2, process_id=me, join_timeout=60.0)
with multihost.group(args):
  steps = json.loads(multihost.broadcast({STEPS!r} if me == 0 else '[]'))
  print(len(steps), steps[-1], [len(x) for x in multihost.gather('é' * me)])
"""


@pytest.mark.slow
def test_a_list_of_2000_checkpoints_reaches_another_process():
  port = peers.free_port(33_000)
  children = [
    subprocess.Popen(
      [sys.executable, '-c', CODE, str(i), f'localhost:{port}'],
      cwd=group.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    for i in (0, 1)
  ]  # fmt: skip
  said = [child.communicate(timeout=100) for child in children]
  for out, err in said:
    assert '1999 39980 [0, 1]' in out, err
