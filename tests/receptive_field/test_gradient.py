"""The gradient field against finite differences, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.receptive_field import small


@pytest.fixture
def double():
  with jax.enable_x64(True):
    yield


def by_differences(m, params, tokens, output, at):
  """|dv / de_m| of positions `at` of one text; e is a token's embedding.

  Embeddings pass through float32 on their way in, which keeps multiples of
  2^-12 below 1 and their products with sqrt(D) = 4 exactly.
  """
  n, h = tokens.shape[1] - 1, 2.0**-10
  rows = params['embed']['embedding'][tokens[0, :-1]]

  @jax.jit
  def value(rows):
    moved = {**params, 'embed': {'embedding': rows}}
    x = m.hidden(moved, jnp.arange(n)[None])[0, -1]
    logits = params['embed']['embedding'] @ x
    if output == 'logit':
      return logits.max()
    return jnp.log(jnp.exp(logits).sum()) - logits[tokens[0, -1]]

  def one(place):
    e = jnp.zeros_like(rows).at[place[0], place[1]].set(h)
    step = lambda k: value(rows + k * e) - value(rows - k * e)  # noqa: E731
    return (8 * step(1) - step(2)) / (12 * h)

  places = jnp.stack(jnp.meshgrid(at, jnp.arange(16), indexing='ij'), -1)
  g = jax.lax.map(one, places.reshape(-1, 2), batch_size=32)
  return jnp.linalg.norm(g.reshape(len(at), 16), axis=-1)


@pytest.mark.slow  # composed encodings in test_composed.py are not
@pytest.mark.parametrize(
  'name, n, output',
  [
    ('kerple_log', 10, 'loss'),
    ('window', 10, 'logit'),
    ('alibi', 130, 'loss'),
  ],
)
def test_gradient_field_equals_finite_differences(double, name, n, output):
  m, params = small.make(name, dtype='float64', activation='gelu')
  E = params['embed']['embedding']
  params['embed'] = {'embedding': jnp.round(E * 2**12) / 2**12}
  tokens = small.batch(n, windows=1)
  s = small.settings(n, output=output)
  out = small.run('gradient', m, params, tokens, s)
  assert out['gradient'].dtype == jnp.float64
  at = jnp.unique(jnp.asarray([0, 1, 2, n // 2, n - 3, n - 2, n - 1]))
  want = by_differences(m, params, tokens, output, at)
  got = out['gradient'][0][n - 1 - np.asarray(at)]
  np.testing.assert_allclose(got / got.sum(), want / want.sum(), rtol=1e-6)
  np.testing.assert_allclose(out['gradient'].sum(), 1)
