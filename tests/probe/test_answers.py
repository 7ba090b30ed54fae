"""Accuracy and margin of models whose answers are known."""

import math

import numpy as np
import pytest
from scipy import special

from extrapolation.data import probes
from extrapolation.probe import answers, grid
from extrapolation.probe.grid import Settings
from tests.probe import small

FEW = Settings(examples=3)


@pytest.mark.parametrize('name', probes.names())
def test_an_oracle_is_right_in_all_cells_of_every_probe(name):
  """Its margin is the one logit that is not 0, and its loss is by hand."""
  examples = small.of(name)
  probe, m = examples.probe, 3.0
  n = probe.least_length + 5
  s = Settings(lengths=(n, n + 14), examples=3)
  cells = grid.make(probe, s, n)
  nll = math.log(math.exp(m) + len(probe.vocabulary) - 1) - m
  for n in s.lengths:
    there = cells.cells(probe, n)
    of = answers.measure(small.oracle(probe, m), examples, n, there, s, 4)
    assert list(of) == there
    for found in of.values():
      np.testing.assert_array_equal(found.right, 1)
      np.testing.assert_allclose(found.margin, m)
      np.testing.assert_allclose(found.nll, nll, rtol=1e-6)


def test_a_guess_is_right_by_chance():
  examples = small.of('needle:values=4')
  s = Settings(examples=800)
  of = answers.measure(small.noise(examples.probe), examples, 24, [7], s, 400)
  cell = answers.summary(of[7])
  assert cell['low'] <= 1 / 4 <= cell['high'] and cell['examples'] == 800
  assert cell['low'] < cell['accuracy'] < cell['high']
  # Equal logits give the first answer, which is as likely as any.
  same = answers.measure(
    small.oracle(examples.probe, 0.0), examples, 24, [7], s, 400
  )
  cell = answers.summary(same[7])
  assert cell['low'] <= 1 / 4 <= cell['high'] and cell['margin'] == 0
  assert cell['nll'] == pytest.approx(math.log(len(examples.ids)))


def test_a_model_that_sees_near_needles_alone():
  examples = small.of('needle')
  of = answers.measure(
    small.near(examples.probe, 9), examples, 40, [1, 9, 10, 39], FEW, 2
  )
  assert [found.margin.mean() for found in of.values()] == [3, 3, 0, 0]


def test_needles_are_the_same_in_every_cell():
  """What a model makes of the last token alone: the answers are by number."""
  examples = small.of('needle:keys=8')  # the query is a key of the example

  def forward(tokens, Q):
    logits = np.zeros((len(tokens), Q, len(examples.ids)))
    logits[:, -1] = np.sin(
      np.outer(tokens[:, -1] + 1, np.arange(len(examples.ids)))
    )
    return logits

  cells = [
    answers.measure(forward, examples, n, [4, 11], Settings(examples=6), 5)[d]
    for n in (16, 33)
    for d in (4, 11)
  ]
  for found in cells[1:]:
    np.testing.assert_array_equal(found.margin, cells[0].margin)
  assert len(set(cells[0].margin)) > 2


def test_scores_by_hand():
  logits = np.array([[0.0, 2.0, 1.0, 9.0], [4.0, 0.5, 1.5, 0.0]])
  of = answers.score(logits, np.array([2, 0, 1]), np.array([1, 1]))
  np.testing.assert_array_equal(of.right, [1, 0])
  np.testing.assert_allclose(of.margin, [1.0, -3.5])
  want = -special.log_softmax(logits, axis=1)[:, 1]
  np.testing.assert_allclose(of.nll, want)


def test_wilson_by_hand():
  """Centre and half-width of Wilson (1927) at 95 %."""
  right = np.array([1.0] * 24 + [0.0] * 8)
  cell = answers.summary(answers.Scores(right, right, right))
  z, n, p = special.ndtri(0.975), 32, 0.75
  centre = (p + z * z / (2 * n)) / (1 + z * z / n)
  half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
  assert cell['low'] == pytest.approx(centre - half, rel=1e-9)
  assert cell['high'] == pytest.approx(centre + half, rel=1e-9)
