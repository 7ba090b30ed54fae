"""Encodings that are a score: values known from papers and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import Scored, attend, reference
from extrapolation.parts.score import Tile


def tile(z, bias=0.0, q=None, i=None):
  """One query i, of all keys 0 .. i or of as many as z [H, s] has."""
  z = jnp.asarray(z, jnp.float32)[:, None]
  i = z.shape[-1] - 1 if i is None else i
  t = i - jnp.arange(z.shape[-1], dtype=jnp.float32)[None, None]
  return Tile(
    z=z,
    q=jnp.ones((len(z), 1, 1)) if q is None else q,
    bias=jnp.broadcast_to(jnp.asarray(bias, jnp.float32), z.shape),
    distance=t,
    position=jnp.full((1, 1, 1), i, jnp.float32),
    between=t,
    passed=jnp.zeros_like(z),
  )


def logits(encoding, params, tile):
  params = {n: jnp.asarray(x, jnp.float32) for n, x in params.items()}
  seen = jnp.ones(tile.z.shape, bool)
  return reference.logits(Scored(encoding.score, params), tile, seen)


U = {
  (4, 8, 8): 0.572438,
  (2, 2, 8): 0.541861,  # ln 1.2 / (ln 1.4 + 1e-6): i is below 8 / 2
  (512, 9215, 512): 0.579322,
  (9215, 9215, 512): 1.0,
}


@pytest.mark.parametrize('case', U)
@pytest.mark.parametrize('sign', [1, -1])
def test_fire_is_a_function_of_a_share_of_the_position(case, sign):
  t, i, train_length = case
  fire = rpe.get('fire', 1, train_length=train_length, width=1)
  x = tile(np.zeros((1, 1)), i=i)
  x = x._replace(distance=jnp.full((1, 1, 1), float(t)))
  same = dict(W1=[[1]], b1=[0], W2=[[1]], b2=[0], c=sign * 0.1, m=sign)
  assert abs(logits(fire, same, x)[0, 0, 0] - U[case]) < 1e-6


def test_fire_has_a_perceptron_for_each_head():
  fire = rpe.get('fire', 2, train_length=8, width=3)
  params = fire.score.init(jax.random.key(0), 16)
  x = tile([[0.3] * 9, [-0.2] * 9])
  got = logits(fire, params, x)
  u = np.log1p(0.1 * np.arange(8, -1, -1)) / (np.log1p(0.1 * 8) + 1e-6)
  y = np.maximum(params['W1'] * u + np.asarray(params['b1'])[:, None], 0)
  want = params['W2'] @ y + np.asarray(params['b2'])[:, None]
  np.testing.assert_allclose(got, x.z + want[:, None], atol=1e-6)
  assert (params['c'], params['m']) == (jnp.float32(0.1), 1)


def test_cope_reads_between_its_positions():
  cope = rpe.get('cope', 1, positions=3)
  z, e = np.array([[0.0, 1.0, -1.0]]), np.array([[0.1], [0.3], [0.7]])
  gates = 1 / (1 + np.exp(-z))
  p = np.cumsum(gates[:, ::-1], 1)[:, ::-1]
  np.testing.assert_allclose(p[0], [1.5, 1, 0.268941], atol=1e-6)
  bias = logits(cope, dict(e=e), tile(z)) - z
  np.testing.assert_allclose(bias[0, 0], [0.5, 0.3, 0.153788], atol=1e-6)


def test_cope_is_flat_from_its_last_position_on():
  cope = rpe.get('cope', 1, positions=3)
  z, e = np.full((1, 9), 50.0), np.array([[0.1], [0.3], [0.7]])
  bias = logits(cope, dict(e=e), tile(z)) - z  # gates of 1
  want = [0.7] * 8 + [0.3]
  np.testing.assert_allclose(bias[0, 0], want, atol=1e-5)


def test_cope_begins_as_none_and_knows_the_width_of_a_head():
  e = rpe.get('cope', 4).score.init(jax.random.key(0), 32)['e']
  np.testing.assert_array_equal(e, np.zeros((64, 8)))


def weights(z, encoding):
  """Those of the last query, whose logits are z."""
  n = len(z)
  q = jnp.zeros((1, n, 1, n)).at[..., 0].set(n**0.5)
  k = jnp.zeros((1, n, 1, n)).at[0, :, 0, 0].set(jnp.asarray(z))
  scored = Scored(encoding.score, {})
  v = jnp.eye(n)[None, :, None]
  return attend(q, k, v, jnp.zeros((1, n)), score=scored)[0, -1, 0]


def test_stick_breaking_gives_what_is_left():
  """The last logit is of the query's own token, which takes nothing."""
  A = weights([0.0, 1, -1, 7], rpe.get('stick_breaking', 1))
  np.testing.assert_allclose(A, [0.098306, 0.534447, 0.268941, 0], atol=1e-6)
  assert abs(1 - A.sum() - 0.098306) < 1e-6


def test_stick_breaking_leaves_no_more_than_its_bound_says():
  encoding, M = rpe.get('stick_breaking', 1), 1.5
  a = encoding.score.decay(M)
  assert abs(a - np.log1p(np.exp(-M))) < 1e-12
  for z in (np.full(40, -M), np.random.default_rng(0).uniform(-M, M, 40)):
    A = weights(z, encoding)
    beyond = np.cumsum(A)[::-1]  # of keys more than m before the query
    assert all(beyond[m + 1] <= np.exp(-a * m) * 1.0001 for m in range(39))


def test_dape_by_hand():
  dape = rpe.get('dape', 2, width=2)
  params = dict(
    W1=[[1, 0, 0, 1], [0, 1, -1, 0]],
    b1=[0, -2],
    W2=[[-1, 1], [1, -1]],
    b2=[0.1, 0.2],
  )
  # W1 [z; b] + b1 = (1.5, -1), of which LeakyReLU makes (1.5, -0.01).
  got = logits(dape, params, tile([[1], [-2]], [[[-3]], [[0.5]]]))
  np.testing.assert_allclose(got[:, 0, 0], [-3.41, 0.21], atol=1e-6)


def test_the_slope_of_dape():
  dape, k = rpe.get('dape', 2, width=2), jnp.asarray([0.5, 0.25])
  params = dict(
    W1=jnp.asarray([[0, 0, 1, 0], [0, 0, 0, -1]], jnp.float32),
    b1=jnp.zeros(2),
    W2=jnp.asarray([[-1, 1], [1, -1]], jnp.float32),
    b2=jnp.zeros(2),
  )
  slope = dape.score.slope(params, k)
  np.testing.assert_allclose(slope, [0.245, 0.505], atol=1e-6)
  far = tile([[0], [0]], -1000.0 * k[:, None, None])
  got = logits(dape, params, far)[:, 0, 0]
  np.testing.assert_allclose(got, -1000 * slope, rtol=1e-5)


def test_dape_takes_the_bias_of_another_and_its_parameters():
  dape, known = (
    rpe.get('dape', 2, kernel='kerple_log'),
    rpe.get('kerple_log', 2),
  )
  params, t = dape.init(jax.random.key(0)), jnp.arange(5)
  np.testing.assert_array_equal(dape.bias(t, params), known.bias(t, params))
  assert dape.name == 'dape'
  raw = dape.unconstrain(params)
  np.testing.assert_array_equal(raw['r1'], known.unconstrain(params)['r1'])


BAD = {
  'fire': (dict(width=0), 'whole numbers >= 1'),
  'cope': (dict(positions=1), 'at least 2'),
  'dape': (dict(kernel='fire'), 'a function of distance'),
}


@pytest.mark.parametrize('name', BAD)
def test_what_they_cannot_take(name):
  hyper, message = BAD[name]
  with pytest.raises(ValueError, match=message):
    rpe.get(name, 2, **hyper)
  with pytest.raises(ValueError, match='by name alone'):
    rpe.get('dape', 2, kernel='window:width=3')
