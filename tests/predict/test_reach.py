"""Reach: closed forms, and the gap that probes imply."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extrapolation.output import table
from extrapolation.predict import probe_table, reach, weights
from extrapolation.predict.reach import Asked, Gap
from tests.predict.small import weights_of

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


def kept_up_to(gap: float, cells: Sequence[float]) -> list[Asked]:
  return [Asked(x, x <= gap) for x in cells]


def test_thresholds_by_hand():
  of = kept_up_to(2.5, (0.0, 1.0, 2.0, 3.0, 4.0))
  assert reach.thresholds({'a': of}) == (2, 3)
  assert reach.thresholds({'a': of[:3]}) == (2, math.inf)
  assert reach.thresholds({'a': of[3:]}) == (-math.inf, 3)
  # An exception is outvoted, in its own encoding.
  odd = [*of, Asked(6.0, True), Asked(-1.0, False)]
  assert reach.thresholds({'a': odd}) == (2, 3)
  # Encodings count alike, however many cells they have.
  many = [Asked(x, False) for x in np.linspace(2.1, 2.2, 30)]
  one = kept_up_to(9.0, (2.3, 5.0))
  assert reach.thresholds({'a': of, 'b': one, 'c': many})[0] == 2


@given(
  st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1),
  st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1),
)
def test_thresholds_misjudge_least(a, b):
  """Against every threshold there is, one by one."""
  asked = {'a': [Asked(*x) for x in a], 'b': [Asked(*x) for x in b]}

  def wrong(g: float) -> float:
    return sum(
      sum(c.kept != (c.nats <= g) for c in of) / len(of)
      for of in asked.values()
    )

  tried = [x - 0.5 for x in range(8)]
  least = min(map(wrong, tried))
  low, high = reach.thresholds(asked)
  best = [g for g in tried if wrong(g) <= least + 1e-9]
  # Nothing lies between the wholes, so that an end is next to the best.
  assert best[0] - 1 < low <= best[0] or low == -math.inf
  assert best[-1] <= high < best[-1] + 1 or high == math.inf
  inside = [g for g in tried if low <= g < high]
  assert wrong(inside[0]) <= least + 1e-9 >= wrong(inside[-1])


def test_the_gap_is_fitted_from_enough_encodings():
  cells = np.arange(0, 6, 0.25)
  planted = {
    f'e{i}': kept_up_to(3.1 + x, cells)
    for i, x in enumerate((-0.5, -0.25, 0.0, 0.25, 0.5))
  }
  few = dict([*planted.items()][:-1])
  assert reach.fit(few) == Gap() and 'takes probe tables of 5' in Gap().source
  gap = reach.fit(planted)
  assert gap.shift == pytest.approx(3.125, abs=0.13)
  assert gap.source == 'fitted on probes of 5 encodings'
  assert 0.5 <= gap.less <= 1.0 and 0.5 <= gap.more <= 1.0


def test_what_no_cell_tells_is_within_the_interval():
  cells = (0.0, 2.0, 5.0, 9.0)
  asked = {f'e{i}': kept_up_to(9.0, cells) for i in range(8)}
  gap = reach.fit(asked)
  assert gap.shift == 9 and gap.less == 0 and gap.more is None
  assert gap.ends == '0 nats less, no upper end'
  # One of nine lost needles, and without that one no end would be known.
  lost = kept_up_to(12.0, (11.0, 15.0))
  gap = reach.fit(asked | dict(lost=lost))
  assert (gap.shift, gap.more) == (13, None)
  gap = reach.fit(asked | dict(lost=lost, other=lost))
  assert (gap.shift, gap.shift - gap.less, gap.shift + gap.more) == (13, 11, 15)
  # Where all lose all, there is nothing to fit.
  nothing = {f'e{i}': kept_up_to(-1.0, cells) for i in range(8)}
  with pytest.raises(ValueError, match='kept no needle'):
    reach.fit(nothing)


def test_a_gap_without_an_end_reaches_all():
  of = read('alibi', 256)
  assert reach.at(of, 256, L, Gap(more=None)).high == 255
  assert reach.at(of, 256, L, Gap(less=None)).low == 0
  hidden = read('window:width=8', 256)
  assert reach.at(hidden, 256, L, Gap(more=None)).high == 7


def test_probes_imply_a_gap(tmp_path):
  """Cells are kept as by a model with one nat more than taught."""
  folder = tmp_path / 'demo'  # whose config is that of its name
  folder.mkdir()
  assert probe_table.asked(str(folder)) == {}
  of, n = read('alibi', 512), 512
  far = reach.at(of, n, 64, Gap(shift=1.0)).middle
  rows = [
    dict(encoding=name, length=i, distance=t, accuracy=right, chance=0.5)
    for name in ('alibi', 'rotary', 'kerple_log')
    for i, t, right in (
      (n, far, 0.75), (n, far + 1, 0.74), (n, 0, 1.0), (64, 9, 0.0),
    )
  ]  # fmt: skip
  failed = [dict(row, accuracy=0.0) for row in rows]
  once = [dict(rows[0], distance=5, accuracy=a) for a in (1.0, 0.0, 0.0)]
  hard = 'window:width=64'
  # Of a hard window, what is beyond it, which layers may find, says nothing.
  once += [dict(rows[0], encoding=hard, distance=t) for t in (7, 99)]
  # Of three seeds, of which the median counts.
  table.write(folder / 'probe.csv', [*rows, *failed, *rows, *once])
  asked = probe_table.asked(str(folder))
  # Others rotate, or learn their weights.
  counts = {name: len(of) for name, of in asked.items()}
  assert counts == {'alibi': 4, hard: 1}
  last, lost, first, fifth = asked['alibi']
  assert last.nats == pytest.approx(1.0, abs=0.02) and last.kept
  assert 1 < lost.nats < 1.02 and not lost.kept
  assert first.nats < -2 and first.kept
  assert fifth.nats < -1 and not fifth.kept
  table.write(folder / 'probe.csv', [dict(encoding='alibi', length=n)])
  with pytest.raises(ValueError, match='lacks distance, accuracy, chance'):
    probe_table.asked(str(folder))
