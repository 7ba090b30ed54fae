"""The gradient field against finite differences, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import model
from extrapolation.receptive_field import gradient
from tests.receptive_field import small


@pytest.fixture
def double(monkeypatch):
  monkeypatch.setitem(model.DTYPES, 'float64', jnp.float64)
  with jax.enable_x64(True):
    yield


def by_differences(m, params, tokens, output, step=1e-6):
  """|dv / de_m| of every position of one text, [n]; e is its embedding."""
  n = tokens.shape[1] - 1
  E = params['embed']['embedding']
  rows = E[tokens[0, :-1]]

  @jax.jit
  def value(rows):
    moved = {**params, 'embed': {'embedding': rows}}
    x = m.hidden(moved, jnp.arange(n)[None])[:, -1]
    return gradient.scalar(params, x, tokens[:, -1], output)[0]

  def one(k):
    e = jnp.zeros(rows.size, rows.dtype).at[k].set(step).reshape(rows.shape)
    return (value(rows + e) - value(rows - e)) / (2 * step)

  g = jax.lax.map(one, jnp.arange(rows.size), batch_size=64)
  return jnp.linalg.norm(g.reshape(rows.shape), axis=-1)


@pytest.mark.parametrize(
  'name, n, output',
  [('kerple_log', 10, 'loss'), ('rotary', 10, 'logit'), ('alibi', 130, 'loss')],
)
def test_gradient_field_equals_finite_differences(double, name, n, output):
  m, params = small.make(name, D=8, F=16, dtype='float64')
  params = jax.tree.map(lambda x: x.astype(jnp.float64), params)
  tokens = small.batch(n, windows=1)
  s = small.settings(n, output=output)
  out, found = small.run('gradient', m, params, tokens, s)
  assert found.x.dtype == out['gradient'].dtype == jnp.float64
  g = by_differences(m, params, tokens, output)
  want = np.asarray(g / g.sum())[::-1]
  np.testing.assert_allclose(out['gradient'][0], want, rtol=1e-5, atol=1e-10)
