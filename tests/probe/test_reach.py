"""Reach at 50 % by hand, and what theory says of it by a plain loop."""

import math

import jax
import numpy as np
import pytest

from extrapolation import config, model
from extrapolation.predict.reach import Gap
from extrapolation.probe import predicted, ranks, reach
from extrapolation.receptive_field import rank_agreement


def rows(accuracy, chance=0.0, n=32, **about):
  """Cells at distances 1, 2, 4 .. with these accuracies."""
  return [
    dict(
      about,
      distance=2**i,
      accuracy=a,
      low=max(a - 0.2, 0),
      high=min(a + 0.2, 1),
      chance=chance,
      examples=n,
    )
    for i, a in enumerate(accuracy)
  ]


@pytest.mark.parametrize(
  'accuracy, chance, want',
  [
    ((1, 1, 1, 1), 0, (8, 8, 8, 8)),
    ((1, 0.9, 0.6, 0.1), 0, (4, 2, 4, 8)),
    ((1, 0.9, 0.6, 0.1), 0.25, (2, 2, 4, 8)),  # half is 0.625
    ((0.4, 1, 1, 1), 0, (0, 0, 8, 8)),  # what is nearer is not found
    ((1, 0.2, 1, 1), 0, (1, 1, 1, 8)),
    ((0.5, 0.49, 0, 0), 0, (1, 0, 2, 8)),
  ],
)
def test_reach_by_hand(accuracy, chance, want):
  cells = rows(accuracy, chance)
  assert reach.of(cells) == want == reach.of(cells[::-1])


def test_draws_are_as_other_needles_may_have_it():
  drawn = reach.draws(rows((1, 0.95, 0.5, 0.0)), 400)
  assert drawn[0] == 4 and len(drawn) == 401
  assert set(drawn.tolist()) == {
    2,
    4,
  }  # the third is half or more half of times
  assert 0.3 < (drawn == 4).mean() < 0.8
  assert set(reach.draws(rows((1, 1, 1)), 20).tolist()) == {4}


def zeros(m):
  """Parameters whose raw values are 0, made at no cost."""
  shapes = jax.eval_shape(m.init, jax.random.key(0))
  return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def cost(slopes, n, t):
  """The cheapest head's ln(sum of weights) - b(t), in plain float64."""
  return min(
    math.log(sum(math.exp(-k * s) for s in range(n))) + k * t for k in slopes
  )


@pytest.mark.parametrize(
  'name, slopes', [('none', (0.0,)), ('alibi', (2**-4, 2**-8))]
)
def test_predicted_reach_is_that_of_a_plain_loop(name, slopes):
  T, lengths = 24, (12, 24, 48, 200)
  m = model.make(9, config.Model(rpe=name, N=2, D=8, H=2, F=8))
  params = zeros(m)
  known = predicted.read(m, params, max(lengths))
  gap = cost(slopes, T, T - 1)
  said = predicted.reaches(known, dict.fromkeys(lengths), T, Gap())
  for n in lengths:
    costs = [cost(slopes, n, t) for t in range(n)]
    np.testing.assert_allclose(predicted.costs(known, n), costs, rtol=1e-9)
    nats = [said[n][key] for key in predicted.GAP]
    np.testing.assert_allclose(nats, [gap, gap - 0.5, gap + 0.5], rtol=1e-9)
    for end, nats in (('', 0), ('_low', -0.5), ('_high', 0.5)):
      within = [t for t in range(n) if costs[t] <= gap + nats + 1e-12]
      assert said[n][f'predicted{end}'] == max(within, default=0), (n, end)


@pytest.mark.parametrize('keys', [(10, 10), (30, 5), (5, 30)])
def test_predicted_reach_behind_a_window_is_that_of_a_plain_loop(keys):
  """A head is diluted by the keys that it sees; the gap is of training."""
  T, lengths, slopes = 24, (8, 24, 48, 200), (2**-4, 2**-8)
  m = model.make(9, config.Model(rpe='alibi', N=2, D=8, H=2, F=8))
  known = predicted.read(m, zeros(m), max(lengths))
  gap = cost(slopes, T, T - 1)
  said = predicted.reaches(known, dict.fromkeys(lengths, keys), T, Gap())
  for n in lengths:
    seen = [min(n, w) for w in keys]
    costs = [
      min(
        [cost([k], w, t) for k, w in zip(slopes, seen, strict=True) if t < w],
        default=math.inf,
      )
      for t in range(n)
    ]
    of = predicted.costs(known, n, keys)
    np.testing.assert_allclose(of, costs, rtol=1e-9)
    within = [t for t in range(n) if costs[t] <= gap + 1e-12]
    assert said[n]['predicted'] == max(within, default=0) < max(seen), n


def test_learned_weights_are_those_that_are_read():
  m = model.make(9, config.Model(rpe='kerple_log', N=2, D=8, H=2, F=8))
  params = zeros(m)
  (values,) = [row for _, row in m.rpe_rows(params)]
  r1, r2 = (np.asarray(values[k], np.float64) for k in ('r1', 'r2'))
  t = np.arange(40)
  b = -r1[:, None] * np.log1p(r2[:, None] * t)
  want = (np.log(np.exp(b).sum(1))[:, None] - b).min(0)
  known = predicted.read(m, params, 40)
  np.testing.assert_allclose(predicted.costs(known, 40), want, rtol=1e-6)


@pytest.mark.parametrize(
  'name', ['rotary', 'linear@forget', 'none*ssmax', 'fire']
)
def test_what_weights_do_not_decide_is_not_judged(name):
  m = model.make(9, config.Model(rpe=name, N=1, D=8, H=2, F=8))
  known = predicted.read(m, zeros(m), 16)
  assert known.weights.why.startswith('not judged: order enters through ')
  assert predicted.costs(known, 16) is None
  assert predicted.reaches(known, {16: None}, 8, Gap())[16]['predicted'] is None


def run(name, accuracy, said, n=64):
  cells = rows(accuracy, length=n, encoding=name)
  return cells, [dict(length=n, predicted=said, encoding=name)]


def test_ranks_of_measured_and_predicted():
  runs = [
    run('a', (1, 0, 0, 0), 3),
    run('b', (1, 1, 0, 0), 9),
    run('c', (1, 1, 1, 0), 17),
    run('c', (1, 1, 1, 1), 17),
    run('d', (1, 1, 1, 1), ''),  # not judged
  ]
  (row,) = ranks.table(runs)
  assert row['rho'] == 1 and row['encodings'] == 3 and row['runs'] == 4
  assert row['length'] == 64 and row['low'] <= 1 == row['high']
  few = ranks.table(runs[:2])[0]
  assert few['rho'] is None and few['encodings'] == 2
  alike = [run(x, (1, 1, 1, 1), i) for i, x in enumerate('abcd')]
  assert ranks.table(alike)[0]['rho'] is None
  assert ranks.table([run('d', (1,), None)])[0]['encodings'] == 0
  assert rank_agreement.FEWEST == 3
