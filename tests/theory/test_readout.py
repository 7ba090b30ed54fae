"""Theorem 20: what N layers can read of the nearest keys."""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from extrapolation import geometry, rpe
from extrapolation.output import table
from extrapolation.theory import readout, space, subjects

RECORDED = pathlib.Path(__file__).parents[2] / 'results/geometry/geometry.csv'


def of(text, size, layers, formula):
  where = space.of(text)
  (b,) = subjects.heads(formula)
  return readout.unread(where, readout.of(where, size, layers), b)


def pairs(text, size, b):
  """P, the nearest keys and the scored pairs, pair by pair."""
  g = geometry.parse(text)
  places = [np.asarray(x) for x in g.places(size)]
  d = np.array([[float(g.distance(x, y)) for y in places] for x in places])
  weights = np.exp(b(d))
  P = weights / weights.sum(1, keepdims=True)
  near = (d == min(x for x in d.flat if x > 0)).astype(float)
  most = max(row.sum() for row in near)
  scored = np.array([
    [row.sum() == most and i != j for j in range(len(places))]
    for i, row in enumerate(near)
  ])  # fmt: skip
  return P, near, scored


CASES = [
  ('grid', (4, 6)),
  ('grid:norm=max', (5, 5)),
  ('grid:norm=l2', (4, 5)),
  ('grid:3', (3, 3, 4)),
  ('both', (17,)),
  ('tree:2', (4,)),
]


@pytest.mark.parametrize('text, size', CASES)
@pytest.mark.parametrize('layers', [1, 2, 3])
def test_20_it_is_the_least_squares_of_powers(text, size, layers):
  P, near, scored = pairs(text, size, lambda d: -np.log1p(d**2))
  powers = [np.linalg.matrix_power(P, i + 1)[scored] for i in range(layers)]
  A, M = near[scored], np.stack(powers, 1)
  c, *_ = np.linalg.lstsq(M, A, rcond=None)
  wanted = np.sum((A - M @ c) ** 2) / np.sum(A**2)
  got = of(text, 'x'.join(map(str, size)), layers, '-log(1+t^2)')
  assert got == pytest.approx(wanted, rel=1e-9) and 0 < wanted < 1


@pytest.mark.parametrize(
  'text, size, near', [('grid', '6x7', 4), ('both', '9', 2), ('tree:3', '3', 4)]
)
def test_20_equal_weights_are_a_guess_at_any_depth(text, size, near):
  """Every power is the mean, of which the nearest keys are near / (T - 1)."""
  T = len(geometry.parse(text).places(tuple(map(int, size.split('x')))))
  for layers in (1, 5):
    assert of(text, size, layers, '0*t') == pytest.approx(1 - near / (T - 1))


def test_20_weights_of_the_nearest_keys_alone_are_read_by_one_layer():
  def within(r):
    return lambda t: jnp.where(t < r, 0.0, -jnp.inf)

  assert of('grid', '5x6', 1, within(2)) == 0
  assert of('grid', '5x6', 1, within(3)) > 0.1
  assert of('grid', '5x6', 4, within(1)) == 1  # itself alone


def test_20_a_linear_network_does_no_better_and_one_does_as_well():
  """Residual layers h + P h W: any of them, and the one of the proof."""
  P, near, scored = pairs('grid', (4, 5), lambda d: -d)
  N, D, T = 3, 4, len(P)
  wanted = of('grid', '4x5', N, '-t')
  rng = np.random.default_rng(0)

  def missed(E, layers):
    """With the best readout, of x at each place alone: a column per place."""
    h = np.eye(T)[:, :, None] * E
    for W in layers:
      h = h + np.einsum('st,txd,de->sxe', P, h, W)
    h, A = h[scored], near[scored]
    out = np.linalg.lstsq(h, A, rcond=None)[0]
    return np.sum((h @ out - A) ** 2) / np.sum(A**2)

  for _ in range(20):
    E, layers = rng.normal(size=D), rng.normal(size=(N, D, D))
    assert missed(E, layers) >= wanted - 1e-9
  # Channel l holds P^l x: layer l writes channel l - 1 to it.
  E, layers = np.eye(D)[0], np.zeros((N, D, D))
  for n in range(N):
    layers[n, n, n + 1] = 1
  assert missed(E, layers) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize('name', ['alibi', 'type1', 'exp_sqrt', 't5', 'none'])
def test_more_layers_miss_no_more(name):
  where, e = space.of('grid'), rpe.get(name, 2)
  params = e.init(jax.random.key(0)) if e.learned else {}
  for b in subjects.heads(lambda t: e.bias(t, params)):
    found = [
      readout.unread(where, readout.of(where, '6x8', n), b)
      for n in (1, 2, 4, 8, 40)
    ]
    assert all(0 <= y <= x + 1e-12 for x, y in itertools.pairwise(found))
    assert found[0] <= 1 and np.isfinite(found).all()


@pytest.mark.parametrize('shape', ['square', 'strip'])
def test_three_layers_order_what_was_trained_with_three(shape):
  """E1: the excess at the size of training, of nine encodings."""
  rows = [
    row
    for row in table.read(RECORDED)
    if (row['experiment'], row['arm']) == ('grid', shape)
    and row['size'] in ('16x32', '2x256')
  ]
  excess, missed = {}, {}
  for row in rows:
    excess.setdefault(row['rpe'], []).append(float(row['excess']))
  where = space.of('grid')
  pairs = readout.of(where, rows[0]['size'], 3)
  for spec in excess:
    name, given = rpe.parse(spec)
    e = rpe.get(name, 1, **rpe.typed(name, given, rpe.defaults(name)))
    (b,) = subjects.heads(lambda t, e=e: e.bias(t, {})[0])
    missed[spec] = readout.unread(where, pairs, b)
  assert len(excess) == 9 and {len(x) for x in excess.values()} == {3}
  order = stats.spearmanr(
    [np.median(excess[k]) for k in excess], [missed[k] for k in excess]
  )
  assert order.statistic > 0.96
  within = {k for k, x in excess.items() if np.median(x) < 0.01}
  assert within == {k for k, x in missed.items() if x < 0.1}
