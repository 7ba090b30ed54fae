"""Two processes, killed at random: the run ends as if nothing had happened."""

import numpy as np
import pytest

from tests import group


def check(path, steps: int, kills: int, seed: int):
  runs = group.Runs(path, steps)
  assert runs.together('plain').wait(timeout=300) == 0, runs.said('plain')
  done = group.disturb(runs, 'killed', kills, np.random.default_rng(seed))
  assert len(done) == kills, (done, runs.said('killed')[-3000:])
  want, got = runs.arrays('plain'), runs.arrays('killed')
  assert want.keys() == got.keys()
  for name in want:
    np.testing.assert_array_equal(want[name], got[name], name)
  assert group.steps(runs, 'plain') == list(range(1, steps + 1))
  assert group.steps(runs, 'killed') == list(range(1, steps + 1))
  print('\n'.join(done))


@pytest.mark.slow
def test_three_kills_cost_no_bit_and_no_row(tmp_path):
  check(tmp_path, steps=120, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_cost_no_bit_and_no_row(tmp_path):
  check(tmp_path, steps=600, kills=50, seed=0)
