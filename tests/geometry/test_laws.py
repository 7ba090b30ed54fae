"""Laws that every geometry keeps; a new file is under all of them."""

import numpy as np
import pytest

from extrapolation import geometry
from extrapolation.geometry import counts, graph, sizes

# Geometry, a shape, one that is so large that `query` sees all keys up to NEAR.
NEAR = 5
SPECS = [
  ('line', '12', '24'),
  ('both', '12', '24'),
  ('cross', '12', '24'),
  ('cross:backward', '11', '25'),
  ('grid:1', '12', '24'),
  ('grid', '4x5', '12x13'),
  ('grid:norm=max', '4x5', '12x13'),
  ('grid:norm=l2', '4x5', '12x13'),
  ('grid:3', '3x4x2', '12x12x12'),
  ('grid:3:max', '3x4x2', '12x12x12'),
  ('tree:1', '8', '9'),
  ('tree:2', '3', '8'),
  ('tree:3', '2', '6'),
  ('tree:2:leaf', '3', '8'),
  ('tree:2:vertex', '3', '10'),
]


@pytest.fixture(params=SPECS, ids=lambda spec: spec[0])
def case(request):
  text, small, large = request.param
  g = geometry.parse(text)
  return g, sizes.parse(small, g), sizes.parse(large, g)


def table(g, size):
  """All distances of a shape, and which keys are seen."""
  queries = g.places(size)
  keys = g.key_places(size) if g.key_places else queries
  q, k = queries[:, None], keys[None]
  seen = np.ones((len(q), len(keys)), bool) if g.sees is None else g.sees(q, k)
  return np.asarray(g.distance(q, k)), np.asarray(seen)


def test_every_kind_is_here():
  kinds = {spec[0].partition(':')[0] for spec in SPECS}
  assert kinds | {'graph'} == set(geometry.names())


def test_distances_are_a_metric(case):
  g, size, _ = case
  t, seen = table(g, size)
  assert (t[seen] >= 0).all() and t[seen].max() == pytest.approx(
    g.longest(size)
  )
  if g.whole:
    assert (t[seen] == np.round(t[seen])).all()
  if g.key_places:
    return
  assert (np.diag(t) == 0).all()
  if g.sees is None:
    np.testing.assert_array_equal(t, t.T)
    assert (t[~np.eye(len(t), dtype=bool)] > 0).all()
    through = (t[:, :, None] + t[None]).min(1)  # the shortest way by a third
    assert (t <= through + 1e-5).all()


def test_shift_invariant_is_of_the_difference_alone(case):
  g, size, _ = case
  if not g.shift_invariant:
    return
  q, k = (np.concatenate([g.places(size)] * 2) for _ in 'qk')
  k = np.random.default_rng(0).permutation(k)
  for f in (g.distance, g.sees):
    if f is not None:
      np.testing.assert_array_equal(f(q, k), f(q + 7, k + 7))


def test_counts_are_those_of_the_whole_space_near_the_query(case):
  g, _, size = case
  if not g.exact:
    return
  t, n = counts.of_query(g, size)
  known = np.exp(g.log_count(np.arange(NEAR + 1)))
  found = [n[t == d].sum() for d in range(NEAR + 1)]
  if g.label.startswith('tree') and 'leaf' in g.label:
    known, found = known[:-1], found[:-1]  # a level higher is outside
  np.testing.assert_allclose(found, known, rtol=1e-5)


def test_a_table_has_every_distance_of_a_shape(case):
  g, size, _ = case
  t, seen = table(g, size)
  if g.whole:
    assert t[seen].max() < g.table_length(size)


def test_euclid_is_hypot():
  t, _ = table(geometry.parse('grid:norm=l2'), (3, 4))
  y, x = np.divmod(np.arange(12), 4)
  want = np.hypot(y[:, None] - y, x[:, None] - x)
  np.testing.assert_allclose(t, want, rtol=1e-6)


@pytest.mark.parametrize('r', [1, 2, 3])
def test_a_tree_has_the_shortest_paths_of_its_edges(r):
  g = geometry.parse(f'tree:{r}')
  n = len(g.places((3,)))
  edges = np.zeros((n, n))
  edges[np.arange(1, n), (np.arange(1, n) - 1) // r] = 1
  np.testing.assert_array_equal(
    table(g, (3,))[0], table(graph.of(edges), (n,))[0]
  )


def test_a_path_is_both_directions_of_a_line():
  path = graph.of(np.eye(9, k=1))
  want, _ = table(geometry.parse('both'), (9,))
  np.testing.assert_array_equal(table(path, (9,))[0], want)
  np.testing.assert_array_equal(table(geometry.parse('grid'), (1, 9))[0], want)
  assert path.query((9,)) == 4 and path.only == (9,)


def test_equal_texts_are_one_object():
  assert geometry.parse('grid:2') is geometry.parse('grid:axes=2')


def test_a_graph_of_a_file_with_lengths(tmp_path):
  file = tmp_path / 'edges.txt'
  file.write_text('0 1 0.5  # near\n\n1 2 2\n0 2 9\n')
  g = geometry.parse(f'graph:{file}')
  t, _ = table(g, (3,))
  np.testing.assert_array_equal(t, [[0, 0.5, 2.5], [0.5, 0, 2], [2.5, 2, 0]])
  assert not g.whole


@pytest.mark.parametrize(
  'text, said',
  [
    ('0 1\n2 3\n', 'in 2 pieces, and no path leads from vertex 0 to 2; give'),
    ('0 one\n', "line 1: '0 one' is no edge; write `u v`"),
    ('0 1 -2\n', 'an edge has a length that is no number >= 0'),
    ('# nothing\n', 'has no edges'),
    ('0 99999\n', 'numbers a vertex 99,999; at most 20,000 are kept'),
  ],
)
def test_a_bad_graph_is_one_line(tmp_path, text, said):
  file = tmp_path / 'edges.txt'
  file.write_text(text)
  with pytest.raises(ValueError) as e:
    geometry.parse(f'graph:{file}')
  assert said in str(e.value) and '\n' not in str(e.value)


def test_pieces_of_a_graph_are_hidden_or_far():
  edges = np.zeros((4, 4))
  edges[0, 1] = edges[2, 3] = 1
  hidden = graph.of(edges, 'hidden')
  _, seen = table(hidden, (4,))
  np.testing.assert_array_equal(seen, np.kron(np.eye(2), np.ones((2, 2))))
  far, seen = table(graph.of(edges, '7'), (4,))
  assert seen.all() and far[0, 2] == 7 and far[0, 1] == 1


@pytest.mark.parametrize(
  'text, said',
  [
    ('gird', "no geometry 'gird' (did you mean 'grid'?)"),
    ('grid:norm=l3', "norm = 'l3'; there are: l1, l2, max"),
    ('grid:9', 'axes = 9: a grid has 1 to 6 axes'),
    ('grid:two', "axes = 'two' is no whole number"),
    ('grid:2:l1:7', 'grid takes 2 values: axes, norm'),
    ('grid:2:axes=3', 'axes is given twice'),
    ('tree:0', 'r = 0: a tree has 1 to 64 children'),
    ('tree:2:top', "at = 'top'; there are: root, leaf, vertex"),
    ('both:3', 'both takes 0 values: none'),
    ('graph', 'needs a file of edges'),
    ('graph:/no/such/file', "there is no file '/no/such/file'"),
  ],
)
def test_a_bad_geometry_is_one_line(text, said):
  with pytest.raises(ValueError) as e:
    geometry.parse(text)
  assert said in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize(
  'text, size', [('grid', '16'), ('grid', '0x4'), ('both', '3x3'),
                 ('grid', '16×32'), ('grid', '99999x99999')]
)  # fmt: skip
def test_a_bad_size_names_the_axes(text, size):
  with pytest.raises(ValueError, match=f"size = '{size}': "):
    sizes.parse(size, geometry.parse(text))
