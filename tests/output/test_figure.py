"""Axes by ratio: labels that can be told apart, and enough of them."""

import math

import pytest
from matplotlib.figure import Figure

from extrapolation.output import figure


@pytest.mark.parametrize('which', ['x', 'y'])
@pytest.mark.parametrize('middle', [0.03, 1.0, 12.0, 4000.0])
@pytest.mark.parametrize(
  'ratio', [1.0, 1.0005, 1.002, 1.03, 1.1, 1.4, 1.9, 2.5, 9, 60, 5000, 1e7]
)
def test_labels_differ_and_are_what_they_stand_at(which, middle, ratio):
  ax = Figure().subplots()
  ends = middle / ratio**0.5, middle * ratio**0.5
  ax.plot(*((ends, (1, 2)) if which == 'x' else ((1, 2), ends)))
  figure.by_ratio(ax, which)
  axis = getattr(ax, f'{which}axis')
  low, high = getattr(ax, f'get_{which}lim')()
  assert low <= ends[0] <= ends[1] <= high
  assert high / low == pytest.approx(max(ratio**1.1, 1.01), rel=1e-3)
  shown = {
    x: label.get_text()
    for x, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    if low <= x <= high
  }
  assert 2 <= len(shown) <= 12
  assert len(set(shown.values())) == len(shown)
  for x, label in shown.items():
    number = label.replace(',', '').replace('\u2212', '-')
    assert float(number) == pytest.approx(x)
  assert not [x for x in axis.get_minorticklocs() if low <= x <= high]


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('values', [[math.nan] * 2, [1.5, math.inf], []])
def test_values_that_are_none_leave_an_axis(values):
  ax = Figure().subplots()
  ax.plot(range(len(values)), values)
  figure.by_ratio(ax)
  low, high = ax.get_ylim()
  assert 0 < low < high < math.inf
