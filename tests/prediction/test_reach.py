"""Reach: closed forms, and the gap that probes imply."""

import math

import pytest

from extrapolation.output import table
from extrapolation.prediction import probe_table, reach, weights
from extrapolation.prediction.reach import Gap
from tests.prediction.small import weights_of

L = 64


def read(spec: str, n: int) -> weights.Weights:
  return weights_of(spec, 4, 1, n)


def test_without_decay_a_needle_is_lost_at_once():
  """Delta_n(t) = ln n for every t, and training taught ln L."""
  of = read('none', 256)
  assert reach.taught(of, L) == pytest.approx(math.log(L))
  assert reach.at(of, 256, L, Gap()) == (0, 0, 0)
  # Half a nat more is enough up to e^0.5 L = 105 tokens, at every distance.
  assert reach.at(of, 100, L, Gap()) == (0, 0, 99)
  assert reach.at(of, 256, L, Gap(shift=math.log(4) + 0.01)).middle == 255


def test_with_linear_decay_it_is_about_the_training_length():
  """b = -m t: Delta_n(t) = ln((1 - e^-mn) / (1 - e^-m)) + m t."""
  n, slopes = 1024, [2.0 ** -(2 * h) for h in (1, 2, 3, 4)]

  def ln_sum(m: float, i: int) -> float:
    return math.log(-math.expm1(-m * i) / -math.expm1(-m))

  taught = min(ln_sum(m, L) + m * (L - 1) for m in slopes)
  for shift in (0.0, 3.0):
    expected = max((taught + shift - ln_sum(m, n)) / m for m in slopes)
    of = reach.at(read('alibi', n), n, L, Gap(shift=shift))
    assert of.middle == pytest.approx(expected, abs=1)
  # There it is the widest head that decides, so half a nat is 128 tokens.
  assert of.high - of.middle == pytest.approx(128, abs=1)
  assert of.middle - of.low == pytest.approx(128, abs=1)


def test_a_hard_window_reaches_its_width():
  of = read('window:width=8', 256)
  assert reach.taught(of, L) == pytest.approx(math.log(8))
  assert reach.at(of, 256, L, Gap()) == (7, 0, 7)


def test_the_gap_is_fitted_from_enough_encodings():
  few = {f'e{i}': [1.0] for i in range(reach.ENOUGH - 1)}
  assert reach.fit(few) == Gap() and 'takes probe tables of 5' in Gap().source
  planted = {f'e{i}': [1.0 + x, 1.0 + x] for i, x in enumerate(
    (-0.2, -0.1, 0.0, 0.1, 0.2))}  # fmt: skip
  gap = reach.fit(planted)
  assert gap.shift == 1.0 and gap.source == 'fitted on probes of 5 encodings'
  assert 0.2 <= gap.less <= 0.5 and 0.2 <= gap.more <= 0.5


def test_reach_at_half_from_a_table():
  rows = [
    dict(encoding=name, length=128, reach=t, farthest=64)
    for name, t in (('a', 8), ('a', 40), ('a', 32), ('all', 64), ('none', 0))
  ]
  assert probe_table.reaches(rows) == {('a', 128): 32}  # median of seeds


def test_probes_imply_a_gap(tmp_path):
  """A table whose reach is that of a model with one nat more than taught."""
  folder = tmp_path / 'demo'  # whose config is that of its name
  folder.mkdir()
  assert probe_table.excess(str(folder)) == {}
  of, n = read('alibi', 512), 512
  far = reach.at(of, n, 64, Gap(shift=1.0)).middle
  rows = [
    dict(encoding=name, length=n, reach=far, farthest=n - 1)
    for name in ('alibi', 'rotary')
  ]
  table.write(folder / 'probe-reach.csv', rows)
  excess = probe_table.excess(str(folder))
  assert list(excess) == ['alibi']
  assert excess['alibi'] == [pytest.approx(1.0, abs=0.02)]
  table.write(folder / 'probe-reach.csv', [dict(encoding='alibi', length=n)])
  with pytest.raises(ValueError, match='lacks reach, farthest'):
    probe_table.excess(str(folder))
