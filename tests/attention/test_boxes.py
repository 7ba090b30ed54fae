"""Boxes that places are cut into, and operands that do not fit them."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.attention import Kernel, attend_places, boxes, places
from tests.attention.test_places import shape


@pytest.mark.parametrize(
  'text, size, boxes_of', [('grid', '16x16', 4), ('grid:3', '4x4x4', 3)]
)
def test_pairs_of_boxes_that_lie_alike_are_together(text, size, boxes_of):
  _, cells, _ = shape(text, size)
  b = boxes.of_lattice(cells, len(cells) // boxes_of ** cells.shape[1] or 8)
  assert b is not None and b.full
  np.testing.assert_array_equal(b.token.ravel()[b.slot], np.arange(len(cells)))
  np.testing.assert_array_equal(b.places.reshape(cells.shape)[b.slot], cells)
  pairs, starts = boxes.alike(b, b)
  N = len(b.token)
  assert sorted(map(tuple, pairs)) == list(np.ndindex(N, N))
  apart = b.places[pairs[:, 0]] - b.places[pairs[:, 1]][:, :1]
  groups = np.split(apart, starts[1:-1])
  assert all((x == x[:1]).all() for x in groups)
  corners = b.corner.max(0) - b.corner.min(0)
  parts = np.where(corners > 0, [len(np.unique(x)) for x in b.corner.T], 1)
  assert len(groups) == np.prod(2 * parts - 1)


def test_places_that_fill_no_box_are_cut_into_runs():
  far = np.array([[0, 0], [1000, 3], [4, 900]])
  twice = np.array([[0, 0], [0, 0], [0, 1], [1, 1]])
  assert boxes.of_lattice(far, 8) is None
  assert boxes.of_lattice(twice, 8) is None


def test_auto_is_dense_below_a_length():
  assert places.choose('cpu', 16, 16) == 'reference'
  assert places.choose('cpu', 512, 512) == 'blockwise'
  assert places.choose('gpu', 64, 64) == 'reference'


X, LONG = jnp.ones((1, 12, 2, 4)), jnp.zeros((2, 6))
BAD = {
  r'k \(1, 12, 3, 4\)': dict(k=jnp.ones((1, 12, 3, 4))),
  'no size may be 0': dict(q=X[:, :0]),
  'one dtype of': dict(q=X.astype(jnp.float16)),
  'a place for each of 12': dict(queries=np.zeros((11, 2), int)),
  'must be whole numbers': dict(keys=np.zeros((12, 2))),
  'as many coordinates': dict(keys=np.zeros((12, 3), int)),
  r'one per key, \(1, 12\)': dict(hidden=jnp.ones((1, 12))),
  r'distances up to 5 .* n >= 6.*arange\(6\)': dict(bias=LONG[:, :5]),
  r'\[2, n\]': dict(bias=jnp.zeros((3, 6))),
  'must be floating': dict(bias=jnp.zeros((2, 6), int)),
  'length = 5: .* distances up to 5 here; give at least 6': dict(length=5),
  'n >= 9': dict(length=9),
  r'Kernel\(rpe.bias, params\)': dict(space='grid:norm=l2'),
  'a row for each of 2': dict(bias=Kernel(lambda t, p: t[None], {})),
  'there are: auto, reference': dict(implementation='pallas'),
}


@pytest.mark.parametrize('message', BAD)
def test_errors_name_what_does_not_fit(message):
  given = dict(q=X, k=X, v=X, bias=LONG) | BAD[message]
  g, queries, keys = shape(given.pop('space', 'grid'), '3x4')
  given = dict(geometry=g, queries=queries, keys=keys) | given
  with pytest.raises(ValueError, match=message) as error:
    inspect.unwrap(attend_places)(**given)
  assert '\n' not in str(error.value)


def test_places_without_values_need_a_length():
  g, cells, _ = shape('grid', '3x4')
  f = jax.jit(lambda c: attend_places(X, X, X, LONG, g, c, c))
  with pytest.raises(ValueError, match='give length=geometry.table_length'):
    f(jnp.asarray(cells))
