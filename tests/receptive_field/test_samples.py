"""Windows in bounded memory; intervals that hold what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extrapolation.receptive_field import bootstrap, rank_agreement
from extrapolation.receptive_field.estimators.settings import Settings, starts


def filled(values, at_once=7):
  sums = bootstrap.Sums(len(values))
  for i in range(0, len(values), at_once):
    part = values[i : i + at_once]
    sums.add(np.arange(i, i + len(part)), x=part, one=np.ones(len(part)))
  return sums


@pytest.mark.parametrize('windows', [1, 5, 64, 1000])
def test_sums_are_those_of_all_windows_in_bounded_memory(windows):
  values = np.random.default_rng(0).normal(size=(windows, 3))
  sums = filled(values)
  assert sums.sums['x'].shape == (min(windows, 64), 3)
  np.testing.assert_allclose(sums.mean('x'), values.mean(0))
  draws = sums.draws(10, 0)
  mean = lambda t: t['x'] / t['one'][:, None]  # noqa: E731
  got = sums.statistic(draws, ('x', 'one'), mean)
  assert got.shape == (11, 3)
  np.testing.assert_allclose(got[0], values.mean(0))
  few_at_once = sums.statistic(draws, ('x', 'one'), mean, at_once=8)
  np.testing.assert_allclose(few_at_once, got)


@pytest.mark.parametrize('windows', [40, 300])
def test_intervals_hold_the_truth_about_as_often_as_they_say(windows):
  rng, held = np.random.default_rng(1), 0
  for _ in range(300):
    sums = filled(rng.exponential(size=windows), at_once=windows)
    drawn = sums.statistic(
      sums.draws(200, int(rng.integers(1 << 30))), ('x', 'one'),
      lambda t: t['x'] / t['one'],
    )  # fmt: skip
    low, high = bootstrap.interval(drawn)
    held += low <= 1 <= high
  assert 0.88 < held / 300 < 0.98


def test_neighbours_share_a_group():
  """Windows that repeat in threes are a third of the evidence."""
  values = np.repeat(np.random.default_rng(0).normal(size=64), 3)
  alone = bootstrap.interval(
    filled(values[::3]).statistic(
      filled(values[::3]).draws(2000, 0), ('x',), lambda t: t['x'] / 64
    )
  )
  thrice = bootstrap.interval(
    filled(values).statistic(
      filled(values).draws(2000, 0), ('x',), lambda t: t['x'] / 192
    )
  )
  np.testing.assert_allclose(alone, thrice)


def fields(order, noise=0.0, R=200, seeds=2):
  """Draws [R, n] of runs, `seeds` of each encoding, and their labels."""
  rng = np.random.default_rng(0)
  label = [f'e{i}' for i in order for _ in range(seeds)]
  middle = np.repeat(np.asarray(order, float), seeds)
  return label, middle + noise * rng.normal(size=(R, len(label)))


def test_rank_correlation_over_encodings():
  label, x = fields(range(8))
  assert rank_agreement.between(label, x, x) == dict(
    rho=1, low=1, high=1, encodings=8
  )
  assert rank_agreement.between(label, x, -x)['rho'] == -1
  noisy = rank_agreement.between(label, x, fields(range(8), 3.0)[1])
  assert noisy['low'] < noisy['rho'] < 1 and noisy['low'] < 0.6
  # Seeds of one encoding are no further evidence: without the two that are
  # out of order, one draw in twenty, the others agree.
  label, five = fields(range(5), seeds=6)
  wide = rank_agreement.between(
    label, five, fields([4, 1, 2, 3, 0], seeds=6)[1]
  )
  assert (wide['rho'], wide['high'], wide['encodings']) == (-0.6, 1, 5)
  assert rank_agreement.between(*fields(range(2)), x[:, :4])['rho'] is None
  none = dict(rho=None, low=None, high=None, encodings=5)
  assert rank_agreement.between(label, five, np.ones_like(five)) == none


@given(st.integers(2, 50), st.integers(1, 400), st.integers(1, 400))
def test_windows_lie_in_the_text_and_do_not_overlap(length, total, tokens):
  if length > total - 1 or tokens < length:
    with pytest.raises(ValueError, match='--length'):
      starts(total, length, tokens)
    return
  found = starts(total, length, tokens)
  assert len(found) == min(tokens, total - 1) // length
  assert found[0] == 0 and found[-1] + length + 1 <= total
  assert (np.diff(found) >= length).all()


@given(
  st.integers(2, 20),
  st.lists(st.integers(1, 50), min_size=1, max_size=20),
  st.integers(20, 400),
)
def test_windows_lie_within_documents(length, sizes, tokens):
  offsets = np.cumsum([0, *sizes])
  if length > max(sizes) - 1:
    with pytest.raises(ValueError, match=f'every document: {max(sizes) - 1} '):
      starts(offsets[-1], length, tokens, offsets)
    return
  found = starts(offsets[-1], length, tokens, offsets)
  first, last = (
    np.searchsorted(offsets, found + n, side='right') for n in (0, length)
  )
  assert (first == last).all() and (np.diff(found) >= length).all()
  room = sum((size - 1) // length for size in sizes)
  assert len(found) == min(tokens // length, room)


@pytest.mark.parametrize(
  'kw, message',
  [
    (dict(eps=('0.1', '1')), 'eps = 1: a share in \\(0, 1\\)'),
    (dict(eps=('x',)), "eps = 'x' is not a number in \\(0, 1\\)"),
    (dict(eps=()), '--eps is empty'),
    (dict(length=1), '--length=1: needs a whole number >= 2'),
    (dict(nats=0.0), '--nats=0.0: needs a number > 0'),
    (dict(queries=9), '--queries=9: a window has 8'),
    (dict(output='prob'), 'there are: logit, loss'),
    (dict(batch_tokens=0), '--batch_tokens=0'),
    (dict(resamples=0), '--resamples=0'),
  ],
)
def test_settings_that_make_no_sense_are_named(kw, message):
  with pytest.raises(ValueError, match=message):
    Settings(**(dict(length=8) | kw))
