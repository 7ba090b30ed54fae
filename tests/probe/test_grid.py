"""Which cells there are, and mistakes that are named before any is measured."""

import numpy as np
import pytest

from extrapolation.data import probes
from extrapolation.probe import grid
from extrapolation.probe.grid import Settings

NEEDLE = probes.parse('needle')


def test_defaults_are_multiples_of_the_training_length_and_all_ends():
  made = grid.make(NEEDLE, Settings(), 128)
  assert made.lengths == (64, 128, 256, 512, 1024, 2304)
  assert 16 <= len(made.distances) <= grid.DISTANCES
  assert {1, 63, 127, 255, 511, 1023, 2303} <= set(made.distances)
  ratios = np.diff(np.log(made.distances))
  assert ratios.max() < 0.75
  assert made.cells(NEEDLE, 64)[-1] == 63  # those beyond stay empty
  assert made.cells(NEEDLE, 2304) == list(made.distances)


@pytest.mark.parametrize('name', probes.names())
def test_every_probe_has_cells_by_default(name):
  probe = probes.parse(name)
  made = grid.make(probe, Settings(), 64)
  assert made.lengths and len(made.distances) <= grid.DISTANCES
  for n in made.lengths:
    cells = made.cells(probe, n)
    assert cells[0] == probe.distances(n)[0]
    assert cells[-1] == probe.distances(n)[-1]


def test_what_is_given_is_sorted_and_taken_once():
  s = Settings(lengths=(64, 8, 64), distances=(30, 2, 2))
  made = grid.make(NEEDLE, s, 16)
  assert made.lengths == (8, 64) and made.distances == (2, 30)
  assert made.cells(NEEDLE, 8) == [2]


@pytest.mark.parametrize(
  'given, message',
  [
    (dict(lengths=(8, 64), distances=(64,)), 'no distance 64 at length 64; '),
    (dict(lengths=(1, 64)), 'no room at length 1; it needs 2 or more'),
    (dict(lengths=()), '--lengths is empty'),
    (dict(distances=()), '--distances is empty'),
    (dict(distances=(0,)), '--distances: 0 is not a distance; needs 1 to'),
    (dict(lengths=(-3,)), '--lengths: -3 is not a length; needs 1 to'),
    (dict(lengths=(1 << 40,)), '--lengths: 1099511627776 is not a length'),
    (dict(examples=0), '--examples=0: needs 1 to'),
    (dict(batch_tokens=0), '--batch_tokens=0: needs 1 to'),
    (dict(seed=-1), '--seed=-1: needs 0 to'),
    (dict(window='0'), "window '0': needs full, a number of keys"),
  ],
)
def test_mistakes_are_named(given, message):
  with pytest.raises(ValueError, match=message) as e:
    grid.make(NEEDLE, Settings(**given), 16)
  assert '\n' not in str(e.value)


def test_no_length_with_room():
  with pytest.raises(ValueError, match='no room at length 36; it needs'):
    grid.make(probes.parse('recall:pairs=16'), Settings(), 2)
