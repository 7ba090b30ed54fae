"""Fits: planted coefficients, one left out by hand, the recorded studies."""

import numpy as np
import pytest
from scipy import stats

from extrapolation import config
from extrapolation.predict import fit, left_out
from extrapolation.predict import law as laws
from extrapolation.predict.form import FORMS
from extrapolation.predict.study import Study
from tests.predict.small import outcome, recorded


def study_of(outcomes) -> Study:
  """A study of outcomes that are made up."""
  return Study('s', '', config.Experiment(), outcomes, {})


@pytest.mark.parametrize(
  'name, at',
  [
    ('a F', (0.07,)),
    ('a F^b', (0.1, 1.5)),
    ('a (-ln(1-F))^b', (0.05, 1.2)),
    ('a F^b / (F^b + c^b)', (0.1, 3.0, 0.4)),
  ],
)
def test_planted_coefficients_come_back(name, at):
  form = FORMS[name]
  F = np.linspace(0.02, 0.9, 8)
  points = [outcome(f'e{i}', x, float(form(x, at))) for i, x in enumerate(F)]
  assert fit.coefficients(form, points) == pytest.approx(at, rel=1e-3)


def test_the_law_of_a_planted_line_is_the_line():
  points = [outcome(f'e{i}', 0.1 * i, 0.007 * i) for i in range(1, 6)]
  law = fit.law([study_of(points)])
  assert law.form == 'a F' and law.at == pytest.approx((0.07,))


def test_every_encoding_counts_alike():
  """Four seeds of one are not four encodings."""
  one = [outcome('a', 0.5, 0.1, seed=i) for i in range(4)]
  (a,) = fit.coefficients(FORMS['a F'], [*one, outcome('b', 0.5, 0.0)])
  assert a == pytest.approx(0.1)  # (0.2 + 0) / 2


def test_one_left_out_by_hand():
  points = [
    outcome('a', 0.5, 0.1, corpus='x'),
    outcome('b', 0.5, 0.2, corpus='x'),
    outcome('c', 1.0, 0.2, corpus='y'),
  ]
  # Slopes without a, b, c: (0.1 + 0.2) / 1.25, (0.05 + 0.2) / 1.25, 0.15 / 0.5.
  error = left_out.error(points, 'encoding', fit.fitted(FORMS['a F']))
  misses = [abs(0.1 - 0.12), abs(0.2 - 0.1), abs(0.2 - 0.3)]
  assert error.groups == 3
  assert error.median == pytest.approx(sorted(misses)[1])
  assert error.worst == pytest.approx(max(misses)) and error.of in 'bc'
  by_corpus = left_out.error(points, 'corpus', fit.fitted(FORMS['a F']))
  # Without x: slope 0.2, so a and b are missed by 0 and 0.1; without y: 0.3.
  assert by_corpus.groups == 2
  assert by_corpus.median == pytest.approx(0.1)
  errors = left_out.errors(points, fit.fitted(FORMS['a F']))
  assert 'leaving one size out takes 2 or more; there is 1' in errors['size']


def test_a_miss_is_the_median_of_seeds_and_the_worst_length():
  points = [outcome('a', 1.0, x, seed=i) for i, x in enumerate((0.0, 0.7, 9.0))]
  points += [outcome('a', 0.5, 0.4, length=32), outcome('b', 1.0, 0.2)]
  error = left_out.error(points, 'encoding', fit.fitted(FORMS['a F']))
  # By b the slope is 0.2: 0.7 at 1 is missed by 0.5, 0.4 at 0.5 by 0.3. By the
  # rows of a it is (9.7 + 0.2) / 3.25, and misses b.
  other = 9.9 / 3.25 - 0.2
  assert error.worst == pytest.approx(other) and error.of == 'b'
  assert error.median == pytest.approx((0.5 + other) / 2)
  curves = left_out.by_curve(points)
  assert [len(own) for own in curves.values()] == [3, 1, 1]


def test_corpora_that_are_sizes_are_said_to_be():
  points = [
    outcome(name, 0.5, 0.1, corpus=c, size=c)
    for name, c in (('a', 'x'), ('b', 'x'), ('c', 'y'))
  ]
  errors = left_out.errors(points, fit.fitted(FORMS['a F']))
  assert 'each corpus is of another size' in errors['size']


def test_too_few_encodings_say_how_many_it_takes():
  points = [outcome(name, 0.5, 0.1) for name in 'abc']
  points += [outcome('t', 0.5, 0.1, learned=True)]
  with pytest.raises(ValueError, match=r'takes 4 encodings.*there are 3 \(a, '):
    fit.law([study_of(points)])
  with pytest.raises(ValueError, match='1 encodings do not settle 2 numbers'):
    fit.coefficients(FORMS['a F^b'], points[:1])


def test_learned_weights_do_not_move_the_fit():
  points = [outcome(f'e{i}', 0.1 * i, 0.01 * i + 0.001) for i in range(1, 6)]
  learned = outcome('t', 0.5, 0.4, learned=True)
  without, with_ = (
    fit.law([study_of(p)]) for p in (points, [*points, learned])
  )
  assert without.at == with_.at
  assert without.learned_factor == 2.0  # assumed, for want of any
  # |0.4 - law| over 0.25 + 0.5, per the worst of the others.
  miss = (0.4 - with_.nats(0.5)) / 0.75
  worst = max(one.score for one in with_.left_out.values())
  assert with_.learned_factor == pytest.approx(miss / worst)


def test_left_out_encodings_of_the_study_are_in_order():
  """Each predicted by the law of the others, at 9,216 of results/cpu_study."""
  every = recorded(laws.read())
  form = FORMS[laws.read().form]
  own = [x for x in every if x.study == 'cpu_study' and x.length == 9216]
  fixed = [x for x in own if not x.learned]
  assert len(fixed) >= 10
  for group in (fixed, own):
    predicted = []
    for x in group:
      rest = [y for y in every if y.encoding != x.encoding and not y.learned]
      predicted.append(float(form(x.far_mass, fit.coefficients(form, rest))))
    measured = [x.nats for x in group]
    assert stats.spearmanr(predicted, measured).statistic >= 0.9


def test_the_form_is_the_simplest_of_those_that_miss_little():
  compared = laws.read().about['forms']
  chosen = next(x for x in compared if x['form'] == laws.read().form)
  least = min(x['worst'] for x in compared)
  near = [x for x in compared if x['worst'] <= fit.NEAR * least]
  assert len(chosen['at']) == min(len(x['at']) for x in near)
