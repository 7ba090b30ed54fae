"""Models that read places: symmetries of spaces, and equality with a line."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from immutabledict import immutabledict

from extrapolation import config, geometry, model, rpe
from extrapolation.model import space as spaces
from tests.model.test_composed import moved

KEY = jax.random.key(0)
V = 11


def built(**changes):
  """A small model, with parameters away from the initial ones."""
  sizes = dict(N=1, D=16, H=2, F=24, dropout=0.0, rpe='alibi') | changes
  values = config.Experiment().to_dict()
  name, written = rpe.parse(sizes['rpe'])
  hyper = rpe.typed(name, written, rpe.defaults(name))
  values['model'] |= sizes | dict(rpe=name, rpe_args=immutabledict(hyper))
  section = config.Model(**values['model'])
  m = model.make(V, section)
  return m, moved(m.init(KEY))


def ids(*shape, seed=0):
  return jax.random.randint(jax.random.key(seed), shape, 0, V)


@functools.partial(jax.jit, static_argnums=(0, 3))
def of_space(m, params, x, space):
  return m.hidden(params, x, space=space)


@functools.partial(jax.jit, static_argnums=0)
def of_source(m, params, x, source):
  return m.hidden(params, x, source=source)


def hidden(m, params, x, size):
  return np.asarray(of_space(m, params, x, m.space(size)))


def test_an_encoder_on_a_causal_line_is_the_decoder():
  """The same parameters, and to rounding the same states."""
  encoder, params = built(kind='encoder', geometry='both', rpe='type1')
  decoder, known = built(rpe='type1')
  assert jax.tree.structure(known) == jax.tree.structure(params)
  x = ids(2, 19)
  line = spaces.make('line', (19,))
  got = of_space(encoder, params, x, line)
  want = of_source(decoder, params, x, None)
  np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize(
  'kernel, symmetric',
  [('alibi', True), ('t5', True), ('t5:bidirectional=true', False),
   ('alibi:sides=true', False)],
)  # fmt: skip
def test_a_text_read_backwards_has_its_states_backwards(kernel, symmetric):
  """But where the encoding tells the sides of a query apart."""
  m, params = built(kind='encoder', geometry='both', rpe=kernel)
  x = ids(1, 12)
  there, back = (hidden(m, params, y, (12,)) for y in (x, x[:, ::-1]))
  assert np.allclose(there, back[:, ::-1], atol=1e-5) == symmetric


@pytest.mark.parametrize('norm', ['l1', 'l2', 'max'])
def test_a_grid_has_the_symmetries_of_a_rectangle(norm):
  m, params = built(kind='encoder', geometry=f'grid:norm={norm}')
  x = ids(1, 3, 4)
  states = hidden(m, params, x.reshape(1, 12), (3, 4)).reshape(3, 4, -1)
  flipped = x[:, ::-1]
  got = hidden(m, params, flipped.reshape(1, 12), (3, 4)).reshape(3, 4, -1)
  np.testing.assert_allclose(got[::-1], states, atol=1e-5)
  turned = jnp.swapaxes(x, 1, 2)
  got = hidden(m, params, turned.reshape(1, 12), (4, 3)).reshape(4, 3, -1)
  np.testing.assert_allclose(np.swapaxes(got, 0, 1), states, atol=1e-5)


def test_subtrees_that_are_exchanged_exchange_their_states():
  m, params = built(kind='encoder', geometry='tree:2', rpe='harmonic')
  x = ids(1, 7)
  order = np.array([0, 2, 1, 5, 6, 3, 4])
  states = hidden(m, params, x, (2,))
  np.testing.assert_allclose(
    hidden(m, params, x[:, order], (2,)), states[:, order], atol=1e-5
  )


def test_a_mean_of_classes_does_not_know_the_order_without_an_encoding():
  m, params = built(kind='encoder', geometry='grid', rpe='none', pool='mean')
  x = ids(1, 12)
  a, b = (hidden(m, params, y, (3, 4)) for y in (x, x[:, ::-1]))
  assert a.shape == (1, 1, 16)
  np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_class_token_comes_first_and_is_at_distance_0():
  m, params = built(kind='encoder', geometry='grid', pool='cls')
  space = m.space((3, 4))
  assert space.places.shape == (13, 3)
  t = space.geometry.distance(space.places[:, None], space.places[None])
  assert (t[0] == 0).all() and (t[:, 0] == 0).all()
  want = geometry.parse('grid').places((3, 4))
  inner = np.abs(want[:, None] - want[None]).sum(-1)
  np.testing.assert_array_equal(t[1:, 1:], inner)
  assert hidden(m, params, ids(2, 12), (3, 4)).shape == (2, 1, 16)


def test_patches_are_the_cells_of_a_square_in_order():
  m, params = built(kind='encoder', geometry='grid', patch=2, pool='mean')
  module = m.network.graph
  assert params['places']['patches']['kernel'].shape == (4, 16)
  space = m.space((4, 6))
  assert space.size == (2, 3)
  x = ids(1, 24)
  places = nnx.merge(module, params).places
  embed = nnx.Embed(V, 16, rngs=nnx.Rngs(0))
  got = np.asarray(places(x, embed, space))[0]
  cells = np.asarray(x).reshape(4, 6) / (V - 1)
  kernel, bias = (np.asarray(params['places']['patches'][k])
                  for k in ('kernel', 'bias'))  # fmt: skip
  for i, (row, column) in enumerate(np.ndindex(2, 3)):
    square = cells[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    np.testing.assert_allclose(
      got[i], square.ravel() @ kernel + bias, atol=1e-5
    )


def test_a_learned_table_is_resized_to_other_sizes():
  m, params = built(kind='encoder', geometry='grid', table='2x3', rpe='none')
  table = params['places']['table']
  assert table.shape == (2, 3, 16)
  flat = {**params, 'places': {'table': jnp.ones_like(table)}}
  small, large = (
    hidden(m, flat, jnp.zeros((1, n), int), size)
    for n, size in ((6, (2, 3)), (24, (4, 6)))
  )
  np.testing.assert_allclose(small[0, 0], large[0, 0], atol=1e-5)
  x = ids(1, 6)
  assert not np.allclose(
    hidden(m, params, x, (2, 3)), hidden(m, flat, x, (2, 3)), atol=1e-3
  )


def test_a_rotation_on_a_grid_is_axial():
  """Scores read differences of both coordinates, and of these alone."""
  rotate = (
    built(kind='encoder', geometry='grid', rpe='rotary')[0]
    .network.forms[0]
    .rotate
  )
  q, k = (jax.random.normal(jax.random.key(i), (1, 1, 2, 8)) for i in (1, 2))

  def score(a, b):
    turned = [rotate(x, x, jnp.array([at]))[0] for x, at in ((q, a), (k, b))]
    return np.asarray((turned[0] * turned[1]).sum(-1))

  same = score((2, 5), (4, 1))
  np.testing.assert_allclose(score((7, 5), (9, 1)), same, atol=1e-5)
  np.testing.assert_allclose(score((2, 8), (4, 4)), same, atol=1e-5)
  assert not np.allclose(score((2, 5), (5, 1)), same, atol=1e-3)
  assert not np.allclose(score((2, 5), (4, 2)), same, atol=1e-3)
  plain = rpe.get('rotary', 2).rotate
  at = jnp.array([[2, 5]])
  whole = rotate(q, k, at)[0]
  for i, share in enumerate((slice(0, 4), slice(4, 8))):
    want = plain(q[..., share], k[..., share], at[:, i])[0]
    np.testing.assert_allclose(whole[..., share], want, atol=1e-6)


@pytest.mark.parametrize(
  'kernel, cross',
  [
    *itertools.product(['alibi'], ['none', 'forward', 'backward']),
    ('t5:bidirectional=true', 'forward'),
    *(
      pytest.param('t5:bidirectional=true', cross, marks=pytest.mark.slow)
      for cross in ('none', 'backward')
    ),
  ],
)
def test_a_decoder_reads_all_of_an_encoder_and_no_later_token(kernel, cross):
  m, params = built(kind='encoder_decoder', cross=cross, rpe=kernel)
  source, x = ids(1, 9), ids(1, 7, seed=1)

  def states(source, x):
    return np.asarray(of_source(m, params, x, source))

  base = states(source, x)
  assert base.shape == (1, 7, 16)
  later = states(source, x.at[0, 4].add(1))
  np.testing.assert_allclose(later[:, :4], base[:, :4], atol=1e-6)
  assert not np.allclose(later[:, 4:], base[:, 4:], atol=1e-3)
  for j in (0, 8):
    other = states(source.at[0, j].add(1), x)
    assert (np.abs(other - base).max(-1) > 1e-5).all()


@pytest.mark.parametrize('cross', ['forward', 'backward'])
def test_attention_across_is_nearest_where_the_clocks_agree(cross):
  """On a clock with weights of the query's own time alone."""
  space = spaces.across(cross, 5, 8)
  v = jnp.arange(8.0).reshape(1, 8, 1, 1)
  q, k = jnp.zeros((1, 5, 1, 1)), jnp.zeros((1, 8, 1, 1))
  bias = jnp.where(jnp.arange(8) == 0, 0.0, -jnp.inf)[None]
  got = np.asarray(space.attend(q, k, v, bias)).ravel()
  want = np.arange(5.0) if cross == 'forward' else 7 - np.arange(5.0)
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_models_of_other_sizes_have_no_other_parameters():
  m, params = built(kind='encoder', geometry='grid', rpe='kerple_log')
  for size in ((2, 3), (5, 7)):
    x = ids(1, size[0] * size[1])
    assert hidden(m, params, x, size).shape == (1, x.shape[1], 16)


def test_layers_in_a_loop_are_the_same_encoder():
  m, params = built(kind='encoder', geometry='grid', rpe='type1', N=2)
  scanned = model.computed_as(m, scan=True)
  stacked = jax.tree.map(
    lambda *x: jnp.stack(x), *(params['layers'][i] for i in range(2))
  )
  x = ids(2, 12)
  got = hidden(scanned, {**params, 'layers': stacked}, x, (3, 4))
  np.testing.assert_allclose(got, hidden(m, params, x, (3, 4)), atol=1e-5)


@pytest.mark.parametrize(
  'changes, said',
  [
    (dict(kind='vit'), "model.kind = 'vit'; there are: decoder, encoder"),
    (dict(geometry='grid'), "'grid' is for model.kind=encoder"),
    (dict(pool='mean'), "model.pool = 'mean' is for model.kind=encoder"),
    (dict(cross='forward'), 'is for model.kind=encoder_decoder'),
    (dict(kind='encoder'), 'model.geometry = line is causal'),
    (dict(kind='encoder', geometry=' line'), 'line is causal'),
    (dict(kind='encoder', geometry='cross'), 'is between two texts'),
    (dict(kind='encoder', geometry='both', patch=2), 'patches are of pictures'),
    (dict(kind='encoder', geometry='tree', table='3'), 'along coordinates'),
    (dict(kind='encoder', geometry='grid', table='3'), "model.table = '3'"),
    (dict(kind='encoder', geometry='tree', rpe='rotary'),
     'its rotate needs coordinates, and geometry tree has distances alone'),
    (dict(kind='encoder', geometry='grid', rpe='rotary', H=8),
     'must be a multiple of 4'),
    (dict(kind='encoder', geometry='grid', rpe='sinusoidal'),
     'is absolute on one axis, and geometry grid has 2'),
    (dict(kind='encoder', geometry='both', rpe='linear@forget'),
     'its clock reads a causal line of tokens, and geometry both is none'),
    (dict(kind='encoder', geometry='both', rpe='none*asentmax:whole=true'),
     'geometry both, and its scale is of the content of each query'),
    (dict(kind='encoder', geometry='both', rpe='cope'), 'its score reads'),
    (dict(kind='encoder', geometry='both', rpe='xpos+alibi'),
     'is of keys behind a query alone, and geometry both has keys ahead'),
    (dict(kind='encoder', geometry='grid', rpe='t5:bidirectional=true'),
     'geometry grid has no two sides'),
    (dict(kind='encoder_decoder', rpe='rotary'), 'knows no clock of two texts'),
  ],
)  # fmt: skip
def test_what_does_not_fit_a_space_is_one_line(changes, said):
  with pytest.raises(ValueError) as e:
    built(**changes)
  assert said in str(e.value) and '\n' not in str(e.value)


def test_an_encoder_asks_for_its_shape_and_a_decoder_for_its_source():
  m, params = built(kind='encoder', geometry='both')
  with pytest.raises(ValueError, match='space='):
    m.hidden(params, ids(1, 5))
  m, params = built(kind='encoder_decoder')
  with pytest.raises(ValueError, match='source='):
    m.hidden(params, ids(1, 5))


def test_sections_that_are_equal_share_a_network():
  a, _ = built(kind='encoder', geometry='grid', rpe='type1')
  b, _ = built(kind='encoder', geometry='grid', rpe='alibi')
  assert a.network is b.network
  c = dataclasses.replace(a.config, geometry='grid:norm=l2')
  assert model.make(V, c).network is not a.network
