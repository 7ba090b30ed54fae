"""Predictions: the law on far mass, wider where it has seen nothing."""

import math

import pytest

from extrapolation import config
from extrapolation.predict import predicted, unseen
from extrapolation.predict.weights import Weights
from tests.predict.small import law


def experiment(rpe='alibi', **overrides: str) -> config.Experiment:
  c = config.base()
  c.model.update(H=2, N=2, D=64, F=64)
  c.train.update(T=16)
  c.eval.update(lengths=(16, 64))
  c.sweep.update(rpe=rpe)
  dotted = {k.replace('__', '.'): v for k, v in overrides.items()}
  return config.override(c, dotted)


def test_a_prediction_is_the_law_on_far_mass():
  ((one,), none) = (
    predicted.of(experiment(x), law()) for x in ('window:width=8', 'none')
  )
  assert one.lengths[0].far_mass == 0.0 and one.lengths[0].ratio == 1.0
  low, high = math.exp(-0.0125), math.exp(0.0125)  # 0.05 x 0.25 nats
  assert one.lengths[0].ratio_low == pytest.approx(low)
  assert one.lengths[0].ratio_high == pytest.approx(high)
  at = none[0].lengths[0]
  F = sum(1 - 16 / i for i in range(17, 65)) / 64
  assert at.far_mass == pytest.approx(F)
  assert at.ratio == pytest.approx(math.exp(0.1 * F))
  assert at.ratio_low < at.ratio < at.ratio_high and not none[0].wider


def test_what_is_unseen_makes_the_interval_wider():
  plain = predicted.of(experiment('none'), law())[0].lengths[0]

  def width(at):
    return math.log(at.ratio_high / at.ratio_low)

  for change, more, why in (
    (dict(model__F='8192'), math.log2(2 * 1064960 / 1e6) / 4, 'parameters'),
    (dict(train__T='8', eval__lengths='8,32'), 0.25, 'training length'),
    (dict(data__tokenizer='bpe'), 1.0, 'tokenizer bpe'),
  ):
    one = predicted.of(experiment('none', **change), law())[0]
    (said,) = one.wider
    assert why in said and one.wider[said] == pytest.approx(more)
  one = predicted.of(experiment('none', data__tokenizer='bpe'), law())[0]
  assert width(one.lengths[0]) == pytest.approx(2 * width(plain))
  assert one.lengths[0].ratio == plain.ratio


def test_far_lengths_and_far_mass_are_unseen():
  seen = law().seen
  assert unseen.length(seen, 16.0, 0.8) == {}
  longer = unseen.length(seen, 64.0, 0.9)
  assert [*longer.values()] == pytest.approx([0.5, 0.25])  # 2 and 1 doublings
  more = unseen.weights(Weights(learned=True, mixed=True), 2.5)
  assert [*more.values()] == [1.5, 1.0]


@pytest.mark.parametrize(
  'change, why',
  [
    (dict(eval__protocol='sliding:4'), 'eval.protocol = sliding:4'),
    (dict(eval__window='8'), 'eval.window = 8'),
    (dict(data__windows='packed'), 'data.windows = packed'),
    (dict(eval__lengths='8,16'), 'no length of eval.lengths'),
  ],
)
def test_an_evaluation_that_no_law_is_of_is_refused(change, why):
  with pytest.raises(ValueError, match=f'no prediction.*{why}') as e:
    predicted.of(experiment(**change), law())
  assert '\n' not in str(e.value) and '--config.' in str(e.value)


def test_runs_that_the_law_was_fitted_on_are_marked():
  one = law()
  one.seen['kinds'].append(['alibi', 'sample', 2, 64, 2, 16])
  of = predicted.of(experiment('alibi,none'), one)
  assert [x.fitted for x in of] == [True, False]
