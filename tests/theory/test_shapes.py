"""Theorem 18: far mass beyond a trained shape, by brute force."""

import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from extrapolation import geometry
from extrapolation.theory import far_share, shapes, space, subjects
from extrapolation.theory.errors import UndefinedTotal

# Encodings with slope 1; golden shares outside of the trained shape, in l2.
SLOPE_1 = {
  'alibi': lambda t: -t,
  'type2': lambda t: -(jnp.log(3 + t) ** 2),
  'exp_sqrt': lambda t: -jnp.sqrt(t),
  'type1': lambda t: -jnp.log1p((1.0 * t) ** 2),
  'harmonic 2.5': lambda t: -2.5 * jnp.log1p(t),
  'log/n^2': lambda t: jnp.log1p(jnp.log1p(t)) - 2 * jnp.log1p(t),
  'harmonic 1.5': lambda t: -1.5 * jnp.log1p(t),
  'harmonic 1': lambda t: -jnp.log1p(t),
  'none': lambda t: 0.0 * t,
}
BEYOND = {
  ('2x256', '2x4608'): (0, 2e-9, 1.5e-4, 0.0055, 8e-4, 0.026, 0.073, 0.378,
                        0.944),
  ('16x32', '96x96'): (9e-4, 0.055, 0.513, 0.380, 0.246, 0.584, 0.656, 0.805,
                       0.944),
}  # fmt: skip
GROWTH = {
  ('96x96', '288x288'): (0, 1e-4, 0.07, 0.24, 0.09, 0.46, 0.67, 1.14, 2.20),
  ('288x288', '864x864'): (0, 0, 0.002, 0.20, 0.05, 0.37, 0.62, 1.12, 2.20),
}


@pytest.fixture(scope='module')
def euclid():
  """{shapes: far of each encoding with slope 1}."""
  where = space.of('grid:norm=l2')
  heads = [subjects.heads(bias)[0] for bias in SLOPE_1.values()]
  out = {}
  for train, test in (*BEYOND, *GROWTH):
    between = shapes.of(where, train, test)
    out[train, test] = [shapes.far(where, between, b) for b in heads]
  return out


@pytest.mark.parametrize('pair', BEYOND)
def test_18_golden_far_mass(pair, euclid):
  for far, golden in zip(euclid[pair], BEYOND[pair], strict=True):
    digit = 0.5 * 10.0 ** np.floor(np.log10(golden or 1e-9))
    assert far.far_mass == pytest.approx(golden, abs=min(digit, 6e-4))


@pytest.mark.parametrize('pair', GROWTH)
def test_18_golden_growth(pair, euclid):
  for far, golden in zip(euclid[pair], GROWTH[pair], strict=True):
    assert far.growth == pytest.approx(golden, abs=6e-3)
    assert far.growth == pytest.approx(-np.log1p(-far.far_mass), rel=1e-9)


def brute(g, train, test, b):
  """Z inside and outside of the trained shape, key by key, in 30 digits."""
  places, at = g.places(test), g.query(test)
  t = np.asarray(g.distance(places[at], places), np.float64)
  inside = np.zeros(len(places), bool)
  if g.name == 'tree':
    inside[:] = _in_tree(g, train, test)
  else:
    own = g.places(train) - g.places(train)[g.query(train)] + places[at]
    cells = {tuple(x) for x in own.tolist()}
    inside[:] = [tuple(x) in cells for x in places.tolist()]
  assert inside.sum() == len(g.places(train))
  w = [mp.exp(b(mp.mpf(x))) for x in t]
  near = mp.fsum(x for x, i in zip(w, inside, strict=True) if i)
  return near, mp.fsum(w) - near


def _in_tree(g, train, test):
  """The subtree of the trained depth that is around the query."""
  places, at = g.places(test), g.query(test)
  up = int(g.places(train)[g.query(train), 0])  # levels to its root
  level = places[at, 0] - up
  below = places[:, 0] - level
  root = places[at, 1 + level]
  return (below >= 0) & (below <= train[0]) & (places[:, 1 + level] == root)


CASES = [
  ('both', (7,), (24,)),
  ('cross:backward', (7,), (24,)),
  ('grid', (3, 4), (8, 7)),
  ('grid', (3, 4), (3, 9)),
  ('grid:norm=max', (3, 4), (8, 7)),
  ('grid:norm=l2', (3, 4), (8, 7)),
  ('grid:3', (2, 3, 2), (4, 3, 5)),
  ('tree', (2,), (5,)),
  ('tree:3:leaf', (2,), (4,)),
  ('tree:2:vertex', (3,), (7,)),
  ('tree:2:vertex', (2,), (7,)),
]
BIASES = {
  '-t': lambda t: -t,
  '-log(t+1)*1.5': lambda t: -1.5 * mp.log(1 + t),
  'sin(t)-t/4': lambda t: mp.sin(t) - t / 4,
  '-floor(t/2)': lambda t: -mp.floor(t / 2),
}


@pytest.mark.parametrize('text, train, test', CASES)
def test_18_far_mass_by_brute_force(text, train, test):
  g = geometry.parse(text)
  where = space.of(g)
  between = shapes.of(where, *('x'.join(map(str, s)) for s in (train, test)))
  assert between.near.sum() == len(g.places(train))
  assert between.all.sum() == len(g.places(test))
  for formula, b in BIASES.items():
    (head,) = subjects.heads(formula)
    far = shapes.far(where, between, head, 0.7)
    with mp.workdps(30):
      near, beyond = brute(g, train, test, b)
      wanted, grown = beyond / (near + beyond), mp.log1p(beyond / near)
    assert far.far_mass == pytest.approx(float(wanted), rel=1e-10)
    assert far.growth == pytest.approx(float(grown), rel=1e-10)
    ends = far_share.interval(float(wanted), 1.4)
    assert far.share == pytest.approx(ends, rel=1e-8)


def test_18_the_true_share_is_in_its_interval():
  """With all far logits M and all near ones -M it is the upper end."""
  rng, g = np.random.default_rng(0), geometry.parse('grid')
  where = space.of(g)
  between = shapes.of(where, '3x3', '8x8')
  (head,) = subjects.heads('-t/2')
  low, high = shapes.far(where, between, head, 0.5).share
  t = counts_of(between)
  w = np.exp(-t / 2)
  far = np.arange(len(t)) >= 9
  for z in (*rng.uniform(-0.5, 0.5, (200, len(t))), far - 0.5, 0.5 - far):
    a = np.exp(z) * w
    p = a[far].sum() / a.sum()
    assert low * (1 - 1e-8) <= p <= high * (1 + 1e-8)
  assert p == pytest.approx(low) and low < high


def counts_of(between):
  """The distances of all keys, those of the trained shape first."""
  near = np.repeat(between.t, between.near)
  return np.concatenate(
    [near, np.repeat(between.t, between.all - between.near)]
  )


def test_18_a_share_tends_to_1_or_stays_below_its_limit():
  where = space.of('grid')

  def far(b, n):
    between = shapes.of(where, '8x8', f'{n}x{n}')
    return shapes.far(where, between, subjects.heads(b)[0]).far_mass

  limit = far('-t', 1024)
  assert far('-t', 16) < far('-t', 64) <= limit < 0.05
  diverging = [far('-log(1+t)', n) for n in (16, 64, 256, 1024)]
  assert diverging == sorted(diverging) and diverging[-1] > 0.98


def test_what_is_far_below_rounding_is_not_0():
  where = space.of('both')
  far = shapes.far(
    where, shapes.of(where, '200', '400'), subjects.heads('-t')[0]
  )
  q = np.exp(-1.0)
  wanted = (q**101 + q**100) / (
    1 + q
  )  # to the left 101 .., to the right 100 ..
  assert far.far_mass == pytest.approx(wanted, rel=1e-9) and wanted < 1e-43


def test_a_weight_that_is_infinite_has_no_share():
  where = space.of('grid')
  between = shapes.of(where, '2x2', '4x4')
  with pytest.raises(UndefinedTotal, match=r'write log\(t \+ 1\)'):
    shapes.far(where, between, subjects.heads('-log(t)')[0])
  with pytest.raises(UndefinedTotal, match='every weight is 0'):
    shapes.far(where, between, subjects.heads('log(max(0,t-50))')[0])


@pytest.mark.parametrize(
  'text, train, test, error',
  [
    ('grid', '16x32', '32x16', 'larger than --test=32x16 in width'),
    ('grid', '33x8', '32x16', 'larger than --test=32x16 in height'),
    ('both', '9', '8', 'larger than --test=8 in length'),
    ('tree', '9', '8', 'larger than --test=8 in depth'),
    ('grid', '16', '32x16', "--train = '16': grid has the axes height x width"),
    ('grid', '8x8', '8x8x8', "--test = '8x8x8': grid has the axes"),
    ('grid', '0x8', '8x8', "--train = '0x8': "),
    ('grid', '8x8', '8192x8192', 'at most 16,777,216 keys'),
  ],
)
def test_bad_shapes_are_one_line(text, train, test, error):
  with pytest.raises(ValueError) as e:
    shapes.of(space.of(text), train, test)
  assert error in str(e.value) and '\n' not in str(e.value)


def test_shapes_that_are_not_nested_are_refused():
  """Of a geometry of one's own, whose query lies elsewhere in each."""
  import dataclasses

  own = dataclasses.replace(
    geometry.parse('both'), query=lambda size: size[0] - 1 if size[0] > 8 else 4
  )
  with pytest.raises(ValueError, match='no part of --test=9 around the query'):
    shapes.of(space.of(own), '8', '9')


def test_a_part_of_a_graph_is_around_its_centre(tmp_path):
  """Of a path of 5 its middle 3: what is far are the two ends."""
  file = tmp_path / 'edges.txt'
  file.write_text('0 1\n1 2\n2 3\n3 4\n')
  where = space.of(f'graph:{file}')
  part = shapes.of(where, '3', '5')
  assert part.near.tolist() == [1, 2, 0] and part.all.tolist() == [1, 2, 2]
  (head,) = subjects.heads(SLOPE_1['alibi'])
  q = np.exp(-1)
  want = 2 * q * q / (1 + 2 * q + 2 * q * q)
  assert shapes.far(where, part, head).far_mass == pytest.approx(want)
  with pytest.raises(ValueError, match='a size of 6 was asked for; give 1 to'):
    shapes.of(where, '3', '6')
