"""Far mass and the cost of a needle, against sums in numpy."""

import numpy as np
import pytest

from extrapolation.predict import weights
from tests.predict.small import weights_of

H, L, n = 4, 16, 64


def read(spec: str, N: int = 2, length: int = n) -> weights.Weights:
  return weights_of(spec, H, N, length)


def mean_far_mass(b: np.ndarray, L: int) -> float:
  """Mean over i = 1 .. n of the share of i weights at or beyond L."""
  w = np.exp(b)
  shares = [w[L:i].sum() / w[:i].sum() for i in range(1, len(b) + 1)]
  return float(np.mean(shares))


def test_far_mass_is_the_mean_over_heads_and_positions():
  t = np.arange(n)
  slopes = 2.0 ** -(2 * np.arange(1, H + 1))
  alibi = np.mean([mean_far_mass(-k * t, L) for k in slopes])
  none = mean_far_mass(np.zeros(n), L)
  assert read('alibi').far_mass(n, L) == pytest.approx(alibi, rel=1e-6)
  assert read('none').far_mass(n, L) == pytest.approx(none, rel=1e-9)
  # Half of the heads each; then layers in the shares of 2:1 that 3 have.
  both = read('window:width=8+none')
  assert both.far_mass(n, L) == pytest.approx(none / 2, rel=1e-9)
  assert both.mixed and not read('alibi').mixed
  three = read('none/window:width=8', N=3)
  assert three.far_mass(n, L) == pytest.approx(none * 2 / 3, rel=1e-9)
  assert three.mixed and len(three.heads) == 2


def test_shorter_lengths_are_read_from_the_same_weights():
  whole = read('harmonic')
  for short in (17, 32, 63):
    alone = read('harmonic', length=short).far_mass(short, L)
    assert whole.far_mass(short, L) == pytest.approx(alone, rel=1e-9)
  assert whole.far_mass(L, L) == 0.0 == read('window:width=8').far_mass(n, L)


def test_the_cost_of_a_needle():
  (none,) = read('none').heads
  assert none.cost(n) == pytest.approx(np.full(n, np.log(n)), rel=1e-9)
  assert none.count == 2 * H
  t = np.arange(n)
  head = read('linear').heads[0]
  b = head.b
  expected = np.log(np.exp(b[:32]).sum()) - b[:32]
  assert head.cost(32) == pytest.approx(expected, rel=1e-6)
  hard = read('window:width=8').heads[0].cost(n)
  assert np.isfinite(hard).tolist() == (t < 8).tolist()


def test_learned_weights_are_of_initial_values():
  first, again = read('kerple_log'), read('kerple_log')
  assert first.learned and not read('alibi').learned
  assert first.far_mass(n, L) == again.far_mass(n, L)


@pytest.mark.parametrize(
  'spec, order, why',
  [
    ('rotary', '', 'rotate'),
    ('sinusoidal', '', 'embed'),
    ('type1@forget', 'tight', 'clock'),
    ('alibi+none*log_n', 'not tight', 'heat'),
    ('alibi/harmonic*log_n:whole=true', 'tight', 'heat'),
  ],
)
def test_without_weights_by_distance_there_is_an_order_at_most(
  spec, order, why
):
  one = read(spec)
  assert one.order == order and not one.heads
  assert f'order enters through {why}' in one.why
