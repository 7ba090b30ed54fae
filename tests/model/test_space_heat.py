"""Heats of models that read places: by the keys that a query sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.model import space as spaces
from tests.model.test_space import built, hidden, ids, of_source, of_space

HEATS = 'log_n:train_length=7', 'asentmax'
MORE = 'ssmax', 'llama4:floor=4'


@pytest.mark.parametrize(
  'heat', [*HEATS, *(pytest.param(h, marks=pytest.mark.slow) for h in MORE)]
)
def test_a_heat_is_of_the_keys_that_a_query_sees(heat):
  """On a causal line it is the decoder's; else all see as many."""
  encoder, params = built(kind='encoder', geometry='both', rpe=f'type1*{heat}')
  decoder, known = built(rpe=f'type1*{heat}')
  assert jax.tree.structure(known) == jax.tree.structure(params)
  x, line = ids(2, 19), spaces.make('line', (19,))
  np.testing.assert_array_equal(line.visible, np.arange(1, 20))
  got = of_space(encoder, params, x, line)
  want = of_source(decoder, params, x, None)
  np.testing.assert_allclose(got, want, atol=2e-5)
  both = encoder.space((19,))
  np.testing.assert_array_equal(both.visible, np.full(19, 19))
  assert encoder.space((38,)).visible[0] == 38
  # The last query of a causal line sees all: there the two agree.
  last = [of_space(encoder, params, x, y)[:, -1] for y in (line, both)]
  np.testing.assert_allclose(*last, atol=2e-5)


def test_a_hot_encoder_is_the_cold_one_with_larger_queries():
  """s = ln T / ln L of all queries: q times s."""
  hot, params = built(kind='encoder', geometry='grid',
                      rpe='type1*log_n:train_length=4')  # fmt: skip
  cold, _ = built(kind='encoder', geometry='grid', rpe='type1')
  x, s = ids(1, 12), np.log(12) / np.log(4)
  layer = params['layers'][0]
  warmed = jax.tree.map(lambda x: x.at[..., :16].multiply(s), layer['qkv'])
  scaled = {**params, 'layers': {0: {**layer, 'qkv': warmed}}}
  want = hidden(cold, scaled, x, (3, 4))
  np.testing.assert_allclose(hidden(hot, params, x, (3, 4)), want, atol=2e-5)
  cold_states = hidden(cold, params, x, (3, 4))
  assert abs(cold_states - want).max() > 1e-3


def test_keys_of_another_piece_of_a_graph_are_not_counted(tmp_path):
  file = tmp_path / 'two.edges'
  file.write_text('0 1\n1 2\n3 4\n')
  text = f'graph:{file}:apart=hidden'
  where = spaces.make(text, (5,))
  assert where.visible.tolist() == [3, 3, 3, 2, 2]
  built(kind='encoder', geometry=text, rpe='type1*ssmax')
  with pytest.raises(ValueError, match='do not all see as many keys'):
    built(kind='encoder', geometry=text, rpe='type1*ssmax:whole=true')


def test_a_heat_in_both_parts_of_an_encoder_decoder():
  """The encoder sees all of its text, the decoder what it has written."""
  x, source, out = ids(1, 5), ids(1, 9, seed=1), {}
  for L in (5, 9, 512):
    hot, params = built(
      kind='encoder_decoder', cross='forward',
      rpe=f'alibi*log_n:train_length={L}:whole=true',
    )  # fmt: skip
    out[L] = np.asarray(of_source(hot, params, x, source))
  cold, params = built(kind='encoder_decoder', cross='forward')
  want = np.asarray(of_source(cold, params, x, source))
  assert all(abs(y - want).max() > 1e-4 for y in out.values())
  # At its training length a heat is 1.
  m, _ = built(kind='encoder', geometry='both',
               rpe='alibi*log_n:train_length=9:whole=true')  # fmt: skip
  plain, known = built(kind='encoder', geometry='both')
  np.testing.assert_allclose(
    hidden(m, known, source, (9,)), hidden(plain, known, source, (9,)),
    atol=1e-5,
  )  # fmt: skip


@pytest.mark.parametrize('space', ['grid', 'grid:norm=l2'])
@pytest.mark.parametrize(
  'heat', ['log_n:train_length=4:whole=true', 'ssmax:whole=true']
)
def test_a_whole_heat_scales_the_bias_as_well(space, heat):
  """s (q.k + b) of all T keys, against attention with T times as large logits.

  The harmonic kernel times s is one of another exponent.
  """
  hot, params = built(kind='encoder', geometry=space, rpe=f'harmonic*{heat}')
  s = 0.43 * np.log(12) if 'ssmax' in heat else np.log(12) / np.log(4)
  if 'ssmax' in heat:
    raw = params['layers'][0]['heat']['s']
    params['layers'][0]['heat']['s'] = jnp.full_like(raw, np.log(0.43))
  cold, _ = built(
    kind='encoder', geometry=space, rpe=f'harmonic:exponent={s:.9g}'
  )
  layer = dict(params['layers'][0])
  layer.pop('heat', None)
  layer['qkv'] = jax.tree.map(
    lambda x: x.at[..., :16].multiply(s), layer['qkv']
  )
  known = {**params, 'layers': {0: layer}}
  known.setdefault('rpe', {})
  x = ids(1, 12)
  want = hidden(cold, known, x, (3, 4))
  np.testing.assert_allclose(hidden(hot, params, x, (3, 4)), want, atol=3e-5)
